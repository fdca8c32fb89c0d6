import type { CopiedRows } from '@millrace/database';
import { rowFormatter } from '@millrace/delimited';
import { type ExportProfilesGoal, InputError, type Processor } from '@millrace/domain';
import { ColumnIndex, compileProcessors, outputsOf, type RowProcessor } from '@millrace/mapping';
import type { PartTallies } from '../storage/parts.js';
import { linesOf, parseCopyLine } from './copy-lines.js';

/** Turns rows in COPY's text format into rows as the file has them. */
export interface RowWriter {
  write(rows: CopiedRows): CopiedRows;
  /** What became of the rows since the last call. */
  takeTallies(): PartTallies;
}

export interface ProcessingContext {
  readonly pseudonymKey: Uint8Array;
  /** What `current-date` says. */
  readonly now: Date;
}

/** The columns of a file of profiles: those of the mapping, and behind them the ones that processors make. */
export function headersOf({
  columns,
  processors,
}: Pick<ExportProfilesGoal, 'columns' | 'processors'>): readonly string[] {
  const headers = columns.map(({ header }) => header);
  const made = processors.flatMap((processor: Processor) => outputsOf(processor));
  return [...headers, ...new Set(made.filter((name) => !headers.includes(name)))];
}

/** @throws InputError for a dialect that cannot be written */
export function plainRows(csv: ExportProfilesGoal['csv']): RowWriter {
  const format = rowFormatter(csv);
  return {
    write: ({ bytes }) => written(linesOf(bytes), (line) => format(parseCopyLine(line))),
    takeTallies: noTallies,
  };
}

/**
 * Takes rows through the goal's processors first. A value one of them cannot understand is left out and counted; what a
 * processor empties is written as no value.
 * @throws InputError for a processor that does not fit the columns, its place in `at`
 */
export function processedRows(goal: ExportProfilesGoal, context: ProcessingContext): RowWriter {
  const format = rowFormatter(goal.csv);
  const processor = compile(goal, context);
  const { width } = processor.columns;
  const loggedBefore: number[] = [];
  let filtered = 0;
  let valuesLeftOut = 0;
  const leaveOut = (): void => {
    valuesLeftOut += 1;
  };
  const row = (line: string): string => {
    const given: (string | null | undefined)[] = parseCopyLine(line);
    for (let position = 0; position < given.length; position += 1) given[position] ??= undefined;
    const result = processor.process(given as string[], undefined, leaveOut);
    if (result.kind !== 'row') {
      filtered += 1;
      return '';
    }
    const { quoted } = result;
    const fields = result.fields as (string | null | undefined)[];
    for (let position = 0; position < width; position += 1) {
      const field = fields[position];
      if (field === undefined || (field === '' && quoted[position] === 1)) fields[position] = null;
    }
    return format(fields as (string | null)[]);
  };
  return {
    write: ({ bytes }) => written(linesOf(bytes), row),
    takeTallies: () => {
      const logged = processor.logged().map(({ label, rows }, index) => {
        const before = loggedBefore[index] ?? 0;
        loggedBefore[index] = rows;
        return { label, rows: rows - before };
      });
      const tallies = { ...noTallies(), filtered, valuesLeftOut, logged };
      filtered = 0;
      valuesLeftOut = 0;
      return tallies;
    },
  };
}

export function noTallies(): PartTallies {
  return { filtered: 0, valuesLeftOut: 0, charactersReplaced: 0, logged: [] };
}

/** @param write empty: the row is left out */
function written(lines: readonly string[], write: (line: string) => string): CopiedRows {
  let text = '';
  const ends: number[] = [];
  for (const line of lines) {
    const row = write(line);
    if (row === '') continue;
    text += row;
    ends.push(text.length);
  }
  const bytes = Buffer.from(text);
  return { bytes, ends: bytes.length === text.length ? ends : byteEnds(text, ends) };
}

/** Characters are not bytes. */
function byteEnds(text: string, ends: readonly number[]): readonly number[] {
  let start = 0;
  let bytes = 0;
  return ends.map((end) => {
    bytes += Buffer.byteLength(text.slice(start, end));
    start = end;
    return bytes;
  });
}

function compile({ columns, processors }: ExportProfilesGoal, { pseudonymKey, now }: ProcessingContext): RowProcessor {
  processors.forEach(({ file }, index) => {
    if (file === 'root') return;
    throw new InputError('processor-file', `processor ${index + 1} names a file; an export has only its own rows`, {
      at: `processors[${index}].file`,
    });
  });
  const headers = columns.map(({ header }) => header);
  return compileProcessors({
    processors,
    dialect: { nullWords: [], trim: false },
    columns: new ColumnIndex('the export', headers, headers.length),
    pseudonymKey,
    now,
    rejectRow: false,
  });
}
