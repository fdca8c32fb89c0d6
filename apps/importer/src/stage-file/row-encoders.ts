import { encodeCopyText } from '@millrace/database';
import type { ImportGuardrails, ImportProfilesGoal } from '@millrace/domain';
import {
  compileEventRow,
  compileImportRow,
  compileListRow,
  compileProcessors,
  fieldReader,
  type Catalogue,
  type ColumnIndex,
  type FieldRejection,
} from '@millrace/mapping';
import { stagingColumns } from '@millrace/profile-store';
import type { PlannedFile } from '../link-files/plan-links.js';
import { linkingColumns } from '../storage/staging-tables.js';

/** A row as the reader gives it. */
export interface ReadRow {
  readonly line: number;
  readonly fields: readonly string[];
  readonly quoted: Uint8Array | undefined;
}

/** A processor dropped the row. */
export const filtered = Symbol('filtered');

export type RejectField = (rejection: FieldRejection) => void;

/** Turns rows of one file into lines of COPY text for its staging table. */
export interface RowEncoder {
  /** The table's columns in the order of the values. */
  readonly columns: readonly string[];
  /** The line, or why the row is rejected. Fields left out of a row that is kept are told to `rejectField`. */
  encode(row: ReadRow, rejectField: RejectField): string | FieldRejection | typeof filtered;
  /** How many rows came to each `log` processor so far. */
  logged(): readonly { readonly label: string; readonly rows: number }[];
  /** How many columns `mapAll` found no fitting property for. */
  readonly columnsLeftOut: number;
  /** What the fields of mapped columns held, in the rows encoded so far; undefined for a linked file. */
  readonly fields?: FieldTally;
}

/** Every field of a mapped column in a row that was kept is one of these. */
export interface FieldTally {
  mapped: number;
  withValue: number;
  empty: number;
  leftOut: number;
}

export interface EncoderOptions {
  readonly goal: ImportProfilesGoal;
  /** Rows of the root file that are another unit's are rejected. */
  readonly organizationalUnit?: ImportGuardrails['unit'];
  readonly file: PlannedFile;
  readonly columns: ColumnIndex;
  readonly catalogue: Catalogue;
  readonly pseudonymKey: Uint8Array;
  readonly now: Date;
}

type MappingEncoder = Omit<RowEncoder, 'logged'>;

/** @throws InputError where the goal does not fit the file */
export function compileRowEncoder(options: EncoderOptions): RowEncoder {
  const { goal, file } = options;
  const processors = goal.processors.filter((processor) => processor.file === file.alias);
  if (processors.length === 0) return { ...mappingEncoder(options), logged: () => [] };
  const processor = compileProcessors({
    ...options,
    processors,
    dialect: file.dialect,
    rejectRow: goal.badValue === 'reject-row',
  });
  const encoder = mappingEncoder({ ...options, columns: processor.columns });
  return {
    columns: encoder.columns,
    columnsLeftOut: encoder.columnsLeftOut,
    ...(encoder.fields === undefined ? {} : { fields: encoder.fields }),
    encode(row, rejectField) {
      const processed = processor.process(row.fields, row.quoted, rejectField);
      switch (processed.kind) {
        case 'row':
          return encoder.encode({ line: row.line, fields: processed.fields, quoted: processed.quoted }, rejectField);
        case 'dropped':
          return filtered;
        case 'rejected':
          return processed;
      }
    },
    logged: () => processor.logged(),
  };
}

function mappingEncoder(options: EncoderOptions): MappingEncoder {
  return options.file.link === undefined ? rootEncoder(options) : linkedEncoder(options);
}

function rootEncoder(options: EncoderOptions): MappingEncoder {
  const { goal, file, columns, catalogue } = options;
  const mapper = compileImportRow(goal, columns, catalogue);
  const { uses } = mapper;
  const [hasAppend, hasIncrement] = [uses.append.length > 0, uses.increment.length > 0];
  const hasGroups = (uses.groups ?? []).length > 0;
  const keepRow = goal.badValue === 'reject-field';
  const unitCheck = checkOfUnit(options);
  const appendLinking = linkingValues(options, (rejection, rejectField) => {
    // A row may stand for a profile alone, without an event.
    if (rejection.code === 'no-event-id') return true;
    if (keepRow) rejectField(rejection);
    return keepRow;
  });
  const fields: FieldTally = { mapped: 0, withValue: 0, empty: 0, leftOut: 0 };
  return {
    fields,
    columnsLeftOut: mapper.leftOut.length,
    columns: [...stagingColumns(mapper), ...linkingColumns(file).map(({ name }) => name)],
    encode(row, rejectField) {
      const foreign = unitCheck?.(row);
      if (foreign !== undefined) return foreign;
      const mapped = mapper.map(row.fields, row.quoted);
      if (mapped.kind === 'rejected') return mapped;
      const values: (string | null)[] = [String(row.line), ...mapped.ids, mapped.assign];
      if (uses.fill) values.push(mapped.fill);
      if (hasAppend) values.push(mapped.append);
      if (hasIncrement) values.push(mapped.increment);
      if (uses.consent) values.push(mapped.consent);
      if (hasGroups) values.push(mapped.groups);
      if (uses.erase === true) values.push(mapped.erase ? 't' : null);
      if (uses.occurredAt === true) values.push(mapped.occurredAt);
      const rejection = appendLinking?.(row, values, rejectField);
      if (rejection !== undefined) return rejection;
      for (const each of mapped.fieldRejections) rejectField(each);
      if (!mapped.erase) fields.mapped += mapper.fieldsPerRow;
      fields.withValue += mapped.values;
      fields.empty += mapped.empty;
      fields.leftOut += mapped.fieldRejections.length;
      return encodeCopyText(values);
    },
  };
}

/** Tells rows whose column does not hold the value of the unit; undefined where the unit is not told by a column. */
function checkOfUnit({
  file,
  columns,
  organizationalUnit: unit,
}: EncoderOptions): ((row: ReadRow) => FieldRejection | undefined) | undefined {
  if (unit?.column === undefined) return undefined;
  const { column, value } = unit;
  const position = columns.position(column);
  const read = fieldReader(file.dialect);
  const rejection = {
    column,
    code: 'other-unit',
    message: 'the row is not of the organizational unit of the connection',
  };
  return ({ fields, quoted }) => (read(fields, position, quoted) === value ? undefined : rejection);
}

function linkedEncoder(options: EncoderOptions): MappingEncoder {
  const appendLinking = linkingValues(options, () => false);
  return {
    columnsLeftOut: 0,
    columns: ['line', ...linkingColumns(options.file).map(({ name }) => name)],
    encode(row, rejectField) {
      const values: (string | null)[] = [String(row.line)];
      return appendLinking?.(row, values, rejectField) ?? encodeCopyText(values);
    },
  };
}

type AppendValues = (row: ReadRow, values: (string | null)[], rejectField: RejectField) => FieldRejection | undefined;

/**
 * Appends the values of the linking columns, in their order; undefined where the file has none.
 * @param tolerate whether a row is kept without the event that was rejected
 */
function linkingValues(
  { file, columns, catalogue }: EncoderOptions,
  tolerate: (rejection: FieldRejection, rejectField: RejectField) => boolean,
): AppendValues | undefined {
  const read = fieldReader(file.dialect);
  const keys = [...(file.link === undefined ? [] : [file.link.column]), ...file.keyColumns].map((column) =>
    columns.position(column),
  );
  const events = file.events.map(({ mapping }) => compileEventRow(mapping, file.dialect, columns, catalogue));
  const lists = file.lists.map(({ mapping, list }) => compileListRow(mapping, list, file.dialect, columns, catalogue));
  if (keys.length + events.length + lists.length === 0) return undefined;
  return ({ fields, quoted }, values, rejectField) => {
    for (const position of keys) values.push(read(fields, position, quoted) ?? null);
    for (const event of events) {
      const mapped = event.map(fields, quoted);
      if (mapped.kind === 'event') values.push(mapped.id, mapped.occurredAt, mapped.properties);
      else if (tolerate(mapped, rejectField)) values.push(null, null, null);
      else return mapped;
    }
    for (const list of lists) {
      const mapped = list.map(fields, quoted);
      if (mapped.kind === 'rejected') return mapped;
      values.push(mapped.item);
    }
    return undefined;
  };
}
