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

/** The goal's processors, for one row after the other. */
export interface ProcessorSteps {
  /** The fields of `headersOf`; undefined where the row is dropped. Takes the given array over. */
  apply(fields: (string | null)[]): (string | null)[] | undefined;
  /** What became of the rows since the last call. */
  takeTallies(): PartTallies;
}

/**
 * A value that a processor cannot understand is left out and counted; what one empties becomes no value.
 * @throws InputError for a processor that does not fit the columns, its place in `at`
 */
export function processorSteps(goal: ExportProfilesGoal, context: ProcessingContext): ProcessorSteps {
  const processor = compile(goal, context);
  const { width } = processor.columns;
  const loggedBefore: number[] = [];
  let filtered = 0;
  let valuesLeftOut = 0;
  const leaveOut = (): void => {
    valuesLeftOut += 1;
  };
  return {
    apply: (fields) => {
      const given: (string | null | undefined)[] = fields;
      for (let position = 0; position < given.length; position += 1) given[position] ??= undefined;
      const result = processor.process(given as string[], undefined, leaveOut);
      if (result.kind !== 'row') {
        filtered += 1;
        return undefined;
      }
      const { quoted } = result;
      const made = result.fields as (string | null | undefined)[];
      for (let position = 0; position < width; position += 1) {
        const field = made[position];
        if (field === undefined || (field === '' && quoted[position] === 1)) made[position] = null;
      }
      return made as (string | null)[];
    },
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

/** Takes rows through the goal's processors first. @throws InputError as `processorSteps`, and for a dialect that cannot be written */
export function processedRows(goal: ExportProfilesGoal, context: ProcessingContext): RowWriter {
  const format = rowFormatter(goal.csv);
  const steps = processorSteps(goal, context);
  const row = (line: string): string => {
    const fields = steps.apply(parseCopyLine(line));
    return fields === undefined ? '' : format(fields);
  };
  return { write: ({ bytes }) => written(linesOf(bytes), row), takeTallies: () => steps.takeTallies() };
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
