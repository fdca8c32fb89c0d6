import { createHash, createHmac } from 'node:crypto';
import { InputError, type CsvDialect, type Processor } from '@millrace/domain';
import type { ColumnIndex } from '../columns.js';
import { fieldReader } from '../field-reader.js';
import type { FieldRejection } from '../import-row.js';
import { cleanEmail, normaliseName, numberReformatter, titleCase, type TextChange } from './change-text.js';
import { compileDatePattern, partsInZone } from './date-pattern.js';
import { compileFilterTest } from './filter-test.js';

export interface ProcessorOptions {
  readonly processors: readonly Processor[];
  readonly dialect: Pick<CsvDialect, 'nullWords' | 'trim'>;
  readonly columns: ColumnIndex;
  /** Of `pseudonymise`: the same key gives the same pseudonyms. */
  readonly pseudonymKey: Uint8Array;
  /** What `current-date` says: one instant for a whole file, however often it is read. */
  readonly now: Date;
  /** A value that cannot be understood rejects its row; otherwise it is left out and told. */
  readonly rejectRow: boolean;
}

export interface ProcessedRow {
  readonly kind: 'row';
  readonly fields: readonly string[];
  readonly quoted: Uint8Array;
}

export type ProcessingResult =
  ProcessedRow | { readonly kind: 'dropped' } | ({ readonly kind: 'rejected' } & FieldRejection);

export interface RowProcessor {
  /** The file's columns, and behind them the ones that processors make. */
  readonly columns: ColumnIndex;
  /** `rejectField` hears of values left out of a row that goes on. */
  process(
    fields: readonly string[],
    quoted: Uint8Array | undefined,
    rejectField: (rejection: FieldRejection) => void,
  ): ProcessingResult;
  /** How many rows came to each `log`, in order. */
  logged(): readonly { readonly label: string; readonly rows: number }[];
}

/** A row under way. `get` is undefined where the row has no value. */
interface WorkRow {
  get(position: number): string | undefined;
  /** Undefined: the row has no such field any more. */
  set(position: number, text: string | undefined): undefined;
}

/** Undefined: the row goes on. */
type Step = (row: WorkRow) => 'drop' | FieldRejection | undefined;

const dropped = { kind: 'dropped' } as const;

/**
 * Compiles the processors of one file. Values are read as mappings read them: an empty field and a null word hold no value,
 * and a processor that changes values leaves them alone. What a processor writes is never taken for a null word.
 * @throws InputError naming the processor's place in `at`: a column the file lacks, a bad pattern or time zone
 */
export function compileProcessors(options: ProcessorOptions): RowProcessor {
  let { columns } = options;
  const logs: { label: string; rows: number }[] = [];
  const steps = options.processors.map((processor) => {
    // A column exists for the processors after the one that makes it.
    const inputs = inputsOf(processor).map((name) => columns.optionalPosition(name));
    columns = columns.with(outputsOf(processor));
    const outputs = outputsOf(processor).map((name) => columns.position(name));
    return compileStep(processor, inputs, outputs, options, logs);
  });
  return { columns, process: rowFunction(steps, columns, options), logged: () => logs };
}

/** What is wrong with a processor whatever the file, or undefined. */
export function processorMisfit(processor: Processor): string | undefined {
  try {
    const options = { pseudonymKey: new Uint8Array(32), now: new Date(0) };
    compileStep(processor, [], [], options, []);
    return undefined;
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
}

/** Columns a processor reads. */
export function inputsOf(processor: Processor): readonly string[] {
  if (processor.kind === 'concatenate') return processor.columns;
  return 'column' in processor ? [processor.column] : [];
}

/** Columns a processor writes; new names make new columns. */
export function outputsOf(processor: Processor): readonly string[] {
  if (processor.kind === 'split') return processor.into;
  if ('into' in processor && processor.into !== undefined) return [processor.into];
  return 'column' in processor && processor.kind !== 'filter' ? [processor.column] : [];
}

function rowFunction(
  steps: readonly Step[],
  columns: ColumnIndex,
  { dialect, rejectRow }: ProcessorOptions,
): RowProcessor['process'] {
  const read = fieldReader(dialect);
  let fields: (string | undefined)[] = [];
  let marks: Uint8Array = new Uint8Array(0);
  const row: WorkRow = {
    get: (position) => read(fields as string[], position, marks) ?? undefined,
    set(position, text) {
      fields[position] = text;
      marks[position] = 1;
      return undefined;
    },
  };
  return (given, quoted, rejectField) => {
    fields = given.slice();
    marks = new Uint8Array(Math.max(columns.width, given.length));
    if (quoted !== undefined) marks.set(quoted);
    for (const step of steps) {
      const outcome = step(row);
      if (outcome === undefined) continue;
      if (outcome === 'drop') return dropped;
      if (rejectRow) return { kind: 'rejected', ...outcome };
      rejectField(outcome);
    }
    // A hole reads as a field the row does not have.
    return { kind: 'row', fields: fields as string[], quoted: marks };
  };
}

type StepOptions = Pick<ProcessorOptions, 'pseudonymKey' | 'now'>;

function compileStep(
  processor: Processor,
  inputs: readonly number[],
  outputs: readonly number[],
  { pseudonymKey, now }: StepOptions,
  logs: { label: string; rows: number }[],
): Step {
  const input = inputs[0] ?? 0;
  const output = outputs[0] ?? 0;
  const change = (apply: TextChange, expected = ''): Step => {
    const column = inputsOf(processor)[0] ?? '';
    return (row) => {
      const text = row.get(input);
      if (text === undefined) return undefined;
      const changed = apply(text);
      if (changed !== undefined) {
        row.set(output, changed);
        return undefined;
      }
      row.set(output, undefined);
      return { column, code: 'bad-value', message: `the value is not ${expected}` };
    };
  };
  switch (processor.kind) {
    case 'clean-email':
      return change(cleanEmail, 'an e-mail address');
    case 'normalise-name':
      return change(normaliseName);
    case 'trim':
      return change((text) => text.trim());
    case 'change-case':
      return change(caseChanges[processor.to]);
    case 'convert-value':
      return change(converter(processor), 'in the table of the processor');
    case 'reformat-date': {
      const [from, to] = [compileDatePattern(processor.from), compileDatePattern(processor.to)];
      const expected = `a date or time of the form ${processor.from}`;
      return change((text) => {
        const parts = from.parse(text.trim());
        return parts === undefined ? undefined : to.format(parts);
      }, expected);
    }
    case 'reformat-number':
      if (processor.groupSeparator === processor.decimalSeparator)
        throw new InputError('separators-equal', 'the group separator must differ from the decimal separator');
      return change(numberReformatter(processor), 'a number of the form the processor expects');
    case 'hash':
      // The form in which advertising platforms exchange addresses (`email_lc_sha256`).
      return change((text) => createHash('sha256').update(text.normalize('NFC').trim().toLowerCase()).digest('hex'));
    case 'pseudonymise':
      return change((text) => createHmac('sha256', pseudonymKey).update(text).digest('hex'));
    case 'drop-null-words': {
      const words = new Set(processor.words.map((word) => word.trim().toLowerCase()));
      return change((text) => (words.has(text.trim().toLowerCase()) ? '' : text));
    }
    case 'fixed-value':
      return (row) => row.set(output, processor.value);
    case 'concatenate':
      return (row) => {
        const values = inputs.map((position) => row.get(position)).filter((text) => text !== undefined);
        if (values.length > 0) row.set(output, values.join(processor.separator));
        return undefined;
      };
    case 'split':
      return splitStep(processor.separator, input, outputs);
    case 'current-date': {
      const text = compileDatePattern(processor.pattern).format(partsInZone(now, processor.timeZone));
      return (row) => row.set(output, text);
    }
    case 'filter': {
      const passes = compileFilterTest(processor.test);
      const keep = processor.action === 'keep';
      return (row) => (passes(row.get(input)) === keep ? undefined : 'drop');
    }
    case 'first-rows': {
      let left = processor.rows;
      return () => ((left -= 1) >= 0 ? undefined : 'drop');
    }
    case 'log': {
      const entry = { label: processor.label, rows: 0 };
      logs.push(entry);
      return () => {
        entry.rows += 1;
        return undefined;
      };
    }
  }
}

const caseChanges: Readonly<Record<'lower' | 'upper' | 'title', TextChange>> = {
  lower: (text) => text.toLowerCase(),
  upper: (text) => text.toUpperCase(),
  title: titleCase,
};

function converter({ table, ignoreCase, otherwise }: Extract<Processor, { kind: 'convert-value' }>): TextChange {
  const fold = (text: string): string => (ignoreCase ? text.toLowerCase() : text);
  // The first entry of a value counts.
  const values = new Map(table.toReversed().map(({ from, to }) => [fold(from), to]));
  return (text) => {
    const found = values.get(fold(text));
    if (found !== undefined) return found;
    return otherwise === 'keep' ? text : otherwise === 'empty' ? '' : undefined;
  };
}

/** Columns behind the last piece keep what they hold; new ones stay absent. */
function splitStep(separator: string, input: number, outputs: readonly number[]): Step {
  return (row) => {
    let rest = row.get(input);
    for (const [index, output] of outputs.entries()) {
      if (rest === undefined) return undefined;
      const cut = index === outputs.length - 1 ? -1 : rest.indexOf(separator);
      row.set(output, cut < 0 ? rest : rest.slice(0, cut));
      rest = cut < 0 ? undefined : rest.slice(cut + separator.length);
    }
    return undefined;
  };
}
