import type { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { InputError, type CsvDialect } from '@millrace/domain';
import { BytePieces } from './byte-pieces.js';
import { charsetOf, createDecoder, type PieceDecoder } from './charset.js';
import { checkDialect, isBackslashText, maxRecordOf } from './dialect.js';
import { otherFormat } from './other-formats.js';
import { ownCopy, RecordScanner } from './record-scanner.js';
import type { ParsedRow, RowBatch } from './row.js';
import { TextWindow } from './text-window.js';

const batchRows = 1000;
/** The event loop gets a turn after so many characters or rows: some ten milliseconds of reading. */
const charactersPerTurn = 1024 * 1024;
const rowsPerTurn = 16_000;

export interface ReadOptions {
  /** Ends the reading: the source is destroyed and `batches` throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Bytes read in one go; what is read does not depend on it. The default is large enough for few calls and small
   * enough that a piece and its strings stay in the processor's cache.
   */
  readonly pieceBytes?: number | undefined;
}

export interface Table {
  /** The names in file order, as they stand there; undefined where the dialect has no header. */
  readonly header: readonly string[] | undefined;
  /** Names that stand more than once in the header. */
  readonly duplicates: readonly string[];
  /** Fields of a right row: those of the header, or else of the first row that can be read; 0 in an empty file without header. */
  readonly columns: number;
  /** At most 1000 rows each. To be iterated once; leaving the loop closes the source. */
  readonly batches: AsyncIterable<RowBatch>;
}

/**
 * Reads a file of delimited text in constant memory: some pieces of 64 KiB and twice the longest row allowed.
 *
 * Rows that cannot be read are values in the batches, never exceptions. A byte order mark wins over the dialect's
 * charset. `maxRecordBytes` is counted in characters, a MiB of them where the dialect says nothing. Empty lines are no rows, except in files of one column, where
 * they are empty fields.
 *
 * @param source bytes; destroyed once it has been read, given up, or could not be opened
 * @throws InputError `empty-file`, `header-unreadable`, `no-readable-row`, `delimiter-differs` (an Excel `sep=` line
 * names another), `not-delimited-text` (the first bytes are those of a zip, gzip, PGP or other binary file),
 * `dialect-invalid`; and whatever error the source ends with, here or in `batches`
 */
export async function readTable(source: Readable, dialect: CsvDialect, options: ReadOptions = {}): Promise<Table> {
  const pieces = new BytePieces(source, Math.max(16, options.pieceBytes ?? 64 * 1024), options.signal);
  try {
    checkDialect(dialect);
    return await new TableReader(pieces, dialect).open();
  } catch (error) {
    await pieces.close();
    throw error;
  }
}

class TableReader {
  readonly #pieces: BytePieces;
  readonly #dialect: CsvDialect;
  readonly #window: TextWindow;
  #decoder: PieceDecoder | undefined;
  /** That no row may repeat. */
  #header: readonly string[] | undefined;
  #scanner!: RecordScanner;
  #charactersSinceTurn = 0;
  #rowsSinceTurn = 0;
  /** Excel's, before the rows. */
  #separatorLines = 0;

  constructor(pieces: BytePieces, dialect: CsvDialect) {
    this.#pieces = pieces;
    this.#dialect = dialect;
    this.#window = new TextWindow({
      delimiter: dialect.delimiter,
      quote: dialect.quote,
      backslashText: isBackslashText(dialect),
    });
  }

  async open(): Promise<Table> {
    await this.#begin();
    for (let left = this.#dialect.skipLines; left > 0 && !this.#isAtEnd();) {
      if (this.#scanner.skipLine()) left -= 1;
      else await this.#more();
    }
    return this.#dialect.header ? await this.#openWithHeader() : await this.#openWithoutHeader();
  }

  async #openWithHeader(): Promise<Table> {
    await this.#skipSeparatorLine();
    const rows: ParsedRow[] = [];
    while (!this.#scanner.scan(rows, 1) && !this.#isAtEnd()) await this.#more();
    const [row] = rows;
    if (row === undefined) throw new InputError('empty-file', 'the file is empty: it should begin with a header line');
    if (row.kind === 'bad') {
      const hint = row.code === 'nul' ? '; the file may be UTF-16' : '';
      throw new InputError('header-unreadable', `line ${row.line}, the header: ${row.message}${hint}`, {
        at: `${row.line}`,
      });
    }
    const header = row.fields.map(ownCopy);
    const duplicates = namesTwice(header);
    this.#scanner.columns = header.length;
    // One word alone may well be a value.
    if (header.length > 1 && !header.includes('')) this.#header = header;
    return { header, duplicates, columns: header.length, batches: this.#batches([]) };
  }

  async #openWithoutHeader(): Promise<Table> {
    await this.#skipSeparatorLine();
    const rows: ParsedRow[] = [];
    let columns = 0;
    while (columns === 0 && rows.length < batchRows) {
      if (this.#scanner.scan(rows, rows.length + 1)) {
        const row = rows.at(-1);
        if (row?.kind === 'row') columns = row.fields.length;
      } else if (this.#isAtEnd()) {
        break;
      } else {
        await this.#more();
      }
    }
    const [first] = rows;
    if (columns === 0 && first?.kind === 'bad' && rows.length >= batchRows) {
      const message = `none of the first ${batchRows} rows can be read; line ${first.line}: ${first.message}`;
      throw new InputError('no-readable-row', message, { at: `${first.line}` });
    }
    this.#scanner.columns = columns;
    // Only now is it known whether the empty lines at the top were rows of one empty field.
    const blanks = columns === 1 ? this.#scanner.leadingBlankLines : 0;
    return { header: undefined, duplicates: [], columns, batches: this.#batches(rows, blanks) };
  }

  async *#batches(firstRows: ParsedRow[], leadingBlankLines = 0): AsyncGenerator<RowBatch, void, undefined> {
    try {
      yield* this.#blankRows(leadingBlankLines);
      let rows = firstRows;
      for (;;) {
        while (this.#scanner.scan(rows, batchRows)) {
          this.#rejectHeaders(rows);
          yield { rows, bytesRead: this.#pieces.bytesRead };
          await this.#takeTurn(0, rows.length);
          rows = [];
        }
        this.#rejectHeaders(rows);
        if (rows.length > 0) yield { rows, bytesRead: this.#pieces.bytesRead };
        rows = [];
        if (this.#isAtEnd()) return;
        await this.#more();
      }
    } finally {
      await this.#pieces.close();
    }
  }

  /** Where files were put behind one another, each brings its header: no row, though it looks like one. */
  #rejectHeaders(rows: ParsedRow[]): void {
    const header = this.#header;
    if (header === undefined) return;
    for (let index = 0; index < rows.length; index++) {
      const row = rows[index] as ParsedRow;
      if (row.kind !== 'row' || row.fields[0] !== header[0]) continue;
      if (row.fields.length !== header.length || row.fields.some((field, at) => field !== header[at])) continue;
      rows[index] = {
        kind: 'bad',
        line: row.line,
        column: undefined,
        code: 'repeated-header',
        message: 'the row repeats the header, as where files were put behind one another',
        raw: ownCopy(row.fields.join(this.#dialect.delimiter).slice(0, 4096)),
      };
    }
  }

  *#blankRows(count: number): Generator<RowBatch> {
    const above = this.#dialect.skipLines + this.#separatorLines;
    for (let done = 0; done < count; done += batchRows) {
      const rows = Array.from({ length: Math.min(batchRows, count - done) }, (_, index) => {
        return { kind: 'row' as const, line: above + done + index + 1, fields: [''], quoted: undefined };
      });
      yield { rows, bytesRead: this.#pieces.bytesRead };
    }
  }

  /** Takes the first piece, which tells charset and kind of file. */
  async #begin(): Promise<void> {
    const head = (await this.#pieces.next()) ?? Buffer.alloc(0);
    const other = otherFormat(head);
    if (other !== undefined) {
      throw new InputError('not-delimited-text', `the file is ${other}, not delimited text`);
    }
    const { charset, markBytes } = charsetOf(head, this.#dialect.charset);
    this.#decoder = createDecoder(charset, markBytes);
    this.#scanner = new RecordScanner(this.#dialect, this.#window, charset);
    const { text, bad } = this.#decoder.decode(head.subarray(markBytes), false);
    this.#window.add(text, false, bad);
  }

  /**
   * Brings at least as much text as a row that is not whole has so far: a long row is then looked at a few times, not
   * once per piece.
   */
  async #more(): Promise<void> {
    const { text, position } = this.#window;
    let wanted = text.length - position;
    do {
      const piece = await this.#pieces.next();
      const final = piece === undefined;
      const decoded = (this.#decoder as PieceDecoder).decode(piece ?? Buffer.alloc(0), final);
      this.#window.add(decoded.text, final, decoded.bad);
      wanted -= decoded.text.length;
      await this.#takeTurn(decoded.text.length, 0);
    } while (wanted > 0 && !this.#window.final);
  }

  async #takeTurn(characters: number, rows: number): Promise<void> {
    this.#charactersSinceTurn += characters;
    this.#rowsSinceTurn += rows;
    if (this.#charactersSinceTurn < charactersPerTurn && this.#rowsSinceTurn < rowsPerTurn) return;
    this.#charactersSinceTurn = 0;
    this.#rowsSinceTurn = 0;
    await nextTurn();
  }

  #isAtEnd(): boolean {
    return this.#window.final;
  }

  /**
   * Excel's first line `sep=;`. It must agree with the dialect: a given delimiter is never overruled silently. Where there is no header
   * and rows have one field, such a line is one of them.
   */
  async #skipSeparatorLine(): Promise<void> {
    const { delimiter, header } = this.#dialect;
    const enough = 'sep=;\r\n'.length;
    while (this.#window.text.length - this.#window.position < enough && !this.#isAtEnd()) await this.#more();
    const { text, position } = this.#window;
    const named = /^sep=([^\r\n])(?:[\r\n]|$)/i.exec(text.slice(position, position + enough))?.[1];
    if (named === undefined) return;
    if (named !== delimiter) {
      if (!header && !(await this.#secondLineHas(delimiter))) return;
      const message = `the file's first line says that fields are separated by "${named}", the CSV options say "${delimiter}"`;
      throw new InputError('delimiter-differs', message, { at: 'csv.delimiter' });
    }
    while (!this.#scanner.skipLine() && !this.#isAtEnd()) await this.#more();
    this.#separatorLines = 1;
  }

  /** Whether a row has several fields, so that a first line without the delimiter cannot be one. */
  async #secondLineHas(delimiter: string): Promise<boolean> {
    const line = /^[^\r\n]*(?:\r\n|\r|\n)([^\r\n]*)/;
    const ended = /^[^\r\n]*(?:\r\n|\r|\n)[^\r\n]*[\r\n]/;
    const rest = (): string => this.#window.text.slice(this.#window.position);
    while (!ended.test(rest()) && rest().length < maxRecordOf(this.#dialect) && !this.#isAtEnd()) await this.#more();
    const second = line.exec(rest())?.[1] ?? '';
    const { quote } = this.#dialect;
    // Every second piece stands between quotes.
    const pieces = quote === null ? [second] : second.split(quote).filter((_, index) => index % 2 === 0);
    return pieces.some((piece) => piece.includes(delimiter));
  }
}

function namesTwice(header: readonly string[]): readonly string[] {
  const once = new Set<string>();
  const twice = new Set<string>();
  for (const name of header) (once.has(name) ? twice : once).add(name);
  return [...twice];
}
