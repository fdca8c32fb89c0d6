import type { Charset, CsvDialect } from '@millrace/domain';
import type { Damage, Text } from './dirty-rows.js';
import type { BadRowCode } from './row.js';
import { windows1252Byte } from './windows-1252.js';

/** A file as the world sends it, and what must come of it. */
export interface DirtyFile {
  /** A fact: what is wrong with it, where. Serves as the name of a test. */
  readonly name: string;
  readonly dialect: Partial<CsvDialect>;
  /** Made on demand: some are large. */
  readonly content: () => Buffer;
  readonly expected: ExpectedRows | Refused;
}

export interface ExpectedRows {
  /** What must come out, by physical line. */
  readonly good: ReadonlyMap<number, readonly string[]>;
  /** What must be rejected, by the physical line on which it begins: one row for each fault. */
  readonly bad: ReadonlyMap<number, BadRowCode>;
  /** Further lines that the fault itself has broken off: rejected too, never rows. */
  readonly lost: ReadonlySet<number>;
}

/** The code of the error that refuses the file as a whole. */
export interface Refused {
  readonly refused: string;
}

export const dirtyColumns = ['id', 'name', 'city', 'note'] as const;

export function encode(text: string, charset: Charset): Buffer {
  switch (charset) {
    case 'utf-8':
    case 'utf-8-bom':
      return Buffer.from(text);
    case 'utf-16le':
      return Buffer.from(text, 'utf16le');
    case 'utf-16be':
      return Buffer.from(text, 'utf16le').swap16();
    case 'iso-8859-1':
      return Buffer.from(text, 'latin1');
    case 'windows-1252':
      return Buffer.from([...text].map((character) => windows1252Byte(character) ?? 0x3f));
  }
}

const marks: Partial<Record<Charset, readonly number[]>> = {
  'utf-8-bom': [0xef, 0xbb, 0xbf],
  'utf-16le': [0xff, 0xfe],
  'utf-16be': [0xfe, 0xff],
};

export type LineBreaks = 'LF' | 'CRLF' | 'CR' | 'mixed';
const lineBreaks: Readonly<Record<LineBreaks, readonly string[]>> = {
  LF: ['\n'],
  CRLF: ['\r\n'],
  CR: ['\r'],
  mixed: ['\n', '\r\n', '\r', '\r\n', '\n'],
};

/** Puts a file together, and keeps account of lines. */
class FileMaker {
  readonly good = new Map<number, readonly string[]>();
  readonly bad = new Map<number, BadRowCode>();
  readonly lost = new Set<number>();
  readonly #parts: Buffer[] = [];
  readonly #text: Text;
  readonly #breaks: readonly string[];
  readonly #file: number;
  #row = 0;
  #line = 1;

  constructor(file: number, charset: Charset, breaks: LineBreaks, mark: boolean) {
    this.#file = file;
    this.#text = (text) => encode(text, charset);
    this.#breaks = lineBreaks[breaks];
    if (mark) this.#parts.push(Buffer.from(marks[charset] ?? []));
    this.line(this.#text(dirtyColumns.join(',')));
  }

  get id(): string {
    return `f${this.#file}-${this.#row}`;
  }

  line(record: Buffer, breaksInside = 0): void {
    this.#parts.push(record, this.#text(this.#breaks[this.#row % this.#breaks.length] as string));
    this.#row += 1;
    this.#line += 1 + breaksInside;
  }

  /** Good rows of several kinds; `quoted`: all their fields stand in quotes. */
  rows(count: number, quoted = false): void {
    for (let made = 0; made < count; made += 1) {
      const fields = [this.id, ...(plain[this.#row % plain.length] as readonly string[])];
      this.good.set(this.#line, fields);
      const written = fields.map((field) =>
        quoted || /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field,
      );
      this.line(this.#text(written.join(',')), breaksIn(fields.join('')));
    }
  }

  damage({ code, record: make, fields, brokenOff }: Damage): void {
    const { id } = this;
    const bytes = make(id, this.#text);
    if (code === undefined) this.good.set(this.#line, [id, ...(fields ?? [])]);
    else this.bad.set(this.#line, code);
    for (const further of brokenOff ?? []) this.lost.add(this.#line + further);
    const inside = brokenOff?.length ?? breaksIn((fields ?? []).join(''));
    this.line(bytes, code === 'bad-charset' && bytes.includes(0x0a) && bytes.includes(0x22) ? 1 : inside);
  }

  get content(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

// What every charset here can say.
const plain: readonly (readonly string[])[] = [
  ['Ann', 'Ghent', ''],
  ['Jörg', '', 'said "hello"'],
  ['Lee, Ann', 'Århus', 'two\nlines'],
  ['', 'São Paulo', 'a\r\nb\rc'],
  ['Zoë', 'Lille', 'NULL'],
];

export function breaksIn(text: string): number {
  return [...text.matchAll(/\r\n|\r|\n/g)].length;
}

/** Makes the n-th file: its ids hold the number. */
export type MakeFile = (number: number) => DirtyFile;

/** A file of good rows with one that is damaged; in the middle, or as the last. */
export function damagedFile(
  damage: Damage,
  charset: Charset,
  breaks: LineBreaks,
  place: 'middle' | 'end' = 'middle',
): MakeFile {
  return (number) => {
    const maker = new FileMaker(number, charset, breaks, true);
    maker.rows(6);
    maker.damage(damage);
    if (place === 'middle') {
      maker.rows(2, damage.separateNext === true);
      maker.rows(6);
    }
    const { content, good, lost } = maker;
    const neverCloses = place === 'end' && damage.separateNext === true;
    const bad = neverCloses ? new Map([...maker.bad].map(([line]) => [line, 'unclosed-quote' as const])) : maker.bad;
    return {
      name: `${damage.what}, ${charset}, ${breaks}${place === 'end' ? ', in its last row' : ''}`,
      dialect: { charset, ...damage.dialect },
      content: () => content,
      expected: { good, bad, lost },
    };
  };
}

/**
 * A file of ten good rows, changed as a whole.
 * @param outcome the code it is refused with, or what becomes of the ten rows
 */
export function changedFile(
  name: string,
  change: (file: Buffer, charset: Charset) => Buffer,
  outcome: string | ((expected: ExpectedRows) => ExpectedRows),
  dialect: Partial<CsvDialect> = {},
): MakeFile {
  return (number) => {
    const charset = dialect.charset ?? 'utf-8';
    const maker = new FileMaker(number, charset, 'LF', false);
    maker.rows(10);
    const { content, good, bad, lost } = maker;
    const expected = typeof outcome === 'string' ? { refused: outcome } : outcome({ good, bad, lost });
    return { name, dialect, content: () => change(content, charset), expected };
  };
}
