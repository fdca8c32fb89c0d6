import {
  InputError,
  profileIdNamespace,
  type CsvDialect,
  type ImportProfilesGoal,
  type MergeRule,
} from '@millrace/domain';
import type { Catalogue, CatalogueNamespace } from './catalogue.js';
import type { ColumnIndex } from './columns.js';
import { fieldReader, type FieldReader } from './field-reader.js';
import { expandMappings, propertiesUnder } from './map-all.js';
import { maxIdentifierLength, normaliseIdentifier } from './normalise-identifier.js';
import {
  describeType,
  jsonString,
  listParser,
  scalarParser,
  timestampReader,
  type ValueParser,
} from './parse-value.js';

/** How a profile becomes a member of groups of a type; the staging column `groups` names it by its position. */
export interface GroupLink {
  readonly typeId: number;
  /** A group whose key is new is made, without properties. */
  readonly create: boolean;
  /** The profile leaves the other groups of the type. */
  readonly replace: boolean;
}

/** Which staging columns a goal fills besides `assign`, and for which properties. */
export interface StagedParts {
  readonly fill: boolean;
  readonly clear: boolean;
  readonly append: readonly string[];
  readonly increment: readonly string[];
  readonly consent: boolean;
  readonly groups?: readonly GroupLink[];
  /** Properties of `append` and `increment` that `assign` or `fill` may hold as well. */
  readonly mixed?: readonly string[];
  /** The goal has a delete flag. */
  readonly erase?: boolean;
  /** Rows may say when they were so: older ones do not bring an erased person back. */
  readonly occurredAt?: boolean;
}

export interface FieldRejection {
  readonly column: string;
  readonly code: string;
  readonly message: string;
}

export type MappedRow =
  | {
      readonly kind: 'row';
      /** Normalised identifiers in the order of the goal's; null where the row has none. */
      readonly ids: readonly (string | null)[];
      /** JSON objects as text, property -> value. In `assign` null clears. */
      readonly assign: string;
      readonly fill: string | null;
      readonly append: string | null;
      readonly increment: string | null;
      readonly consent: string | null;
      /** Position of the link -> keys of groups, a list. */
      readonly groups: string | null;
      /** The delete flag stands: nothing else of the row counts but its identifiers. */
      readonly erase: boolean;
      /** ISO-8601, UTC. */
      readonly occurredAt: string | null;
      /** Fields of mapped columns with a value, and without one; what was rejected is neither. */
      readonly values: number;
      readonly empty: number;
      readonly fieldRejections: readonly FieldRejection[];
    }
  | ({ readonly kind: 'rejected' } & FieldRejection);

export interface ImportRowMapper {
  readonly namespaceIds: readonly number[];
  readonly uses: StagedParts;
  /** Columns that `mapAll` found no fitting property for. */
  readonly leftOut: readonly string[];
  /** How many fields of a row that erases nobody are mapped: each has a value, none, or one that is rejected. */
  readonly fieldsPerRow: number;
  map(fields: readonly string[], quoted: Uint8Array | undefined): MappedRow;
}

type Target = 'assign' | 'fill' | 'append' | 'increment' | 'consent' | 'groups';

interface CompiledField {
  readonly column: string;
  readonly position: number;
  readonly target: Target;
  readonly clears: boolean;
  /** `"name":`, ready to be put before the value. */
  readonly key: string;
  readonly parse: ValueParser;
  readonly expected: string;
}

const noRejections: readonly FieldRejection[] = [];
const emptyObject = '{}';
const erasingRow = {
  kind: 'row',
  assign: emptyObject,
  fill: null,
  append: null,
  increment: null,
  consent: null,
  groups: null,
  erase: true,
  values: 0,
  empty: 0,
  fieldRejections: noRejections,
} as const;

/**
 * Turns rows of the root file into what is staged, by the goal's identifiers, mappings and consent columns.
 * An empty value and a null word change nothing, except under `set-or-clear`, where they clear;
 * a field that is not there (short row) never does anything.
 * Throws InputError where the goal does not fit the file or the workspace.
 */
export function compileImportRow(
  goal: ImportProfilesGoal,
  columns: ColumnIndex,
  catalogue: Catalogue,
): ImportRowMapper {
  const identifiers = goal.matching.identifiers.map(({ column, namespace }) => ({
    column,
    position: columns.optionalPosition(column),
    namespace: namespaceOf(catalogue, namespace),
  }));
  // Rows may do without some of their identifiers, not without all of them.
  if (identifiers.every(({ position }) => position >= columns.width))
    identifiers.forEach(({ column }) => columns.position(column));
  const fields: CompiledField[] = [];
  const { mappings, leftOut } = expandMappings(goal, columns, catalogue);
  for (const { column, property: name, rule } of mappings) {
    const property = catalogue.properties.get(name);
    if (property === undefined) {
      throw new InputError(
        'property-not-found',
        `the workspace has no property ${JSON.stringify(name)}; create it or change the mapping of ${JSON.stringify(column)}`,
      );
    }
    const target = {
      set: 'assign',
      'set-or-clear': 'assign',
      'set-if-empty': 'fill',
      add: 'append',
      sum: 'increment',
    } as const;
    fields.push({
      column,
      position: columns.optionalPosition(column),
      target: target[rule],
      clears: rule === 'set-or-clear',
      key: `${jsonString(name)}:`,
      parse: (property.list || rule === 'add' ? listParser : scalarParser)(property.type, goal.csv),
      expected: describeType(property.type, property.list, goal.csv),
    });
  }
  for (const { column, objective } of goal.consent) {
    fields.push({
      column,
      position: columns.optionalPosition(column),
      target: 'consent',
      clears: false,
      key: `${jsonString(objective)}:`,
      parse: scalarParser('boolean', goal.csv),
      expected: describeType('boolean', false),
    });
  }
  const groups = goal.groupLinks.map(({ column, type, createGroups, replace }, index): GroupLink => {
    const groupType = catalogue.groupTypes.get(type);
    if (groupType === undefined)
      throw new InputError('group-type-not-found', `the workspace has no group type ${JSON.stringify(type)}`);
    fields.push({
      column,
      position: columns.optionalPosition(column),
      target: 'groups',
      clears: false,
      key: `"${index}":`,
      parse: groupKeysParser(goal.csv),
      expected: `the key of a group, or a list of keys, each of at most ${maxIdentifierLength} characters`,
    });
    return { typeId: groupType.id, create: createGroups, replace };
  });
  const namesOf = (rule: MergeRule): readonly string[] => propertiesUnder(rule, goal, catalogue);
  const read = fieldReader(goal.csv);
  return {
    namespaceIds: identifiers.map(({ namespace }) => namespace.id),
    uses: {
      fill: namesOf('set-if-empty').length > 0,
      clear: namesOf('set-or-clear').length > 0,
      append: namesOf('add'),
      increment: namesOf('sum'),
      consent: goal.consent.length > 0,
      groups,
      erase: goal.deleteFlag !== undefined,
      occurredAt: rowTimeColumn(goal) !== undefined,
    },
    leftOut,
    fieldsPerRow: fields.length + (goal.occurredAtColumn === undefined || goal.erasedProfiles === 'create' ? 0 : 1),
    map: rowFunction(
      identifiers,
      fields.toSorted(inStoredOrder),
      { deleteFlag: deleteFlagOf(goal, columns), time: rowTimeOf(goal, columns) },
      read,
      goal.badValue === 'reject-row',
    ),
  };
}

/**
 * The order in which PostgreSQL stores the keys of jsonb, shorter ones first: what comes so need not be sorted, which is
 * a seventh of what reading a document costs it.
 */
function inStoredOrder(a: CompiledField, b: CompiledField): number {
  const [left, right] = [Buffer.from(a.key), Buffer.from(b.key)];
  return left.length - right.length || Buffer.compare(left, right);
}

function groupKeysParser(dialect: CsvDialect): ValueParser {
  const parse = listParser('string', dialect);
  return (text) => {
    const list = parse(text.trim());
    if (list === undefined) return undefined;
    const keys = (JSON.parse(list) as string[]).map((key) => key.trim()).filter((key) => key !== '');
    return keys.some((key) => key.length > maxIdentifierLength) ? undefined : `[${keys.map(jsonString).join(',')}]`;
  };
}

/** Stands among the ids of namespaces for the profile's own id. */
export const profileIdNamespaceId = -1;
const ownId: CatalogueNamespace = {
  id: profileIdNamespaceId,
  code: profileIdNamespace,
  normalisation: { trim: true, case: 'lower', digitsOnly: false, hash: 'none' },
};
const idForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function namespaceOf(catalogue: Catalogue, code: string): CatalogueNamespace {
  if (code === profileIdNamespace) return ownId;
  const namespace = catalogue.namespaces.get(code);
  if (namespace === undefined)
    throw new InputError('namespace-not-found', `the workspace has no identity namespace ${JSON.stringify(code)}`);
  return namespace;
}

interface DeleteFlag {
  readonly column: string;
  readonly position: number;
  readonly parse: ValueParser;
}

function deleteFlagOf(goal: ImportProfilesGoal, columns: ColumnIndex): DeleteFlag | undefined {
  if (goal.deleteFlag === undefined) return undefined;
  const { column } = goal.deleteFlag;
  return { column, position: columns.position(column), parse: scalarParser('boolean', goal.csv) };
}

/** Whether the row erases its profile; undefined where the flag is neither true nor false, which nobody may guess. */
function readFlag(text: string | null | undefined, parse: ValueParser): boolean | undefined {
  if (typeof text !== 'string') return false;
  const value = parse(text);
  return value === undefined ? undefined : value === 'true';
}

/** The column that says when a row was so, where that matters. */
export function rowTimeColumn({
  erasedProfiles,
  occurredAtColumn,
  events,
}: Pick<ImportProfilesGoal, 'erasedProfiles' | 'occurredAtColumn' | 'events'>): string | undefined {
  if (erasedProfiles === 'create') return undefined;
  return occurredAtColumn ?? events.find(({ file }) => file === 'root')?.occurredAtColumn;
}

interface RowTime {
  readonly column: string;
  readonly position: number;
  readonly parse: (text: string) => string | undefined;
  readonly expected: string;
  /** Otherwise whoever reads the event complains. */
  readonly complains: boolean;
}

function rowTimeOf(goal: ImportProfilesGoal, columns: ColumnIndex): RowTime | undefined {
  const column = rowTimeColumn(goal);
  if (column === undefined) return undefined;
  return {
    column,
    position: columns.optionalPosition(column),
    parse: timestampReader(goal.csv),
    expected: describeType('timestamp', false, goal.csv),
    complains: goal.occurredAtColumn !== undefined,
  };
}

interface RowMarks {
  readonly deleteFlag: DeleteFlag | undefined;
  readonly time: RowTime | undefined;
}

function rowFunction(
  identifiers: readonly { column: string; position: number; namespace: CatalogueNamespace }[],
  fields: readonly CompiledField[],
  { deleteFlag, time }: RowMarks,
  read: FieldReader,
  rejectRow: boolean,
): ImportRowMapper['map'] {
  return (row, quoted) => {
    const ids: (string | null)[] = [];
    let known = 0;
    for (const { column, position, namespace } of identifiers) {
      const text = read(row, position, quoted);
      const id = typeof text === 'string' ? normaliseIdentifier(text, namespace.normalisation) : undefined;
      if (id === undefined) {
        ids.push(null);
        continue;
      }
      if (namespace === ownId && !idForm.test(id))
        return { kind: 'rejected', column, code: 'bad-value', message: 'the value is not the id of a profile' };
      if (id.length > maxIdentifierLength) {
        return {
          kind: 'rejected',
          column,
          code: 'identifier-too-long',
          message: `an identifier is longer than ${maxIdentifierLength} characters`,
        };
      }
      ids.push(id);
      known += 1;
    }
    if (known === 0) {
      const column = identifiers.map((identifier) => identifier.column).join(', ');
      return { kind: 'rejected', column, code: 'no-identifier', message: 'every identifier column is empty' };
    }
    let rejections: FieldRejection[] | undefined;
    let values = 0;
    let empty = 0;
    let occurredAt: string | null = null;
    const said = time === undefined ? undefined : read(row, time.position, quoted);
    if (time?.complains === true && typeof said !== 'string') empty += 1;
    if (time !== undefined && typeof said === 'string') {
      occurredAt = time.parse(said.trim()) ?? null;
      if (occurredAt === null && time.complains) {
        const rejection = { column: time.column, code: 'bad-value', message: `the value is not ${time.expected}` };
        if (rejectRow) return { kind: 'rejected', ...rejection };
        rejections = [rejection];
      } else if (time.complains) values += 1;
    }
    if (deleteFlag !== undefined) {
      const flagged = readFlag(read(row, deleteFlag.position, quoted), deleteFlag.parse);
      if (flagged === undefined) {
        const message = `the delete flag is not ${describeType('boolean', false)}`;
        return { kind: 'rejected', column: deleteFlag.column, code: 'bad-value', message };
      }
      if (flagged) return { ...erasingRow, ids, occurredAt };
    }
    const parts: Record<Target, string> = {
      assign: '',
      fill: '',
      append: '',
      increment: '',
      consent: '',
      groups: '',
    };
    for (const field of fields) {
      const text = read(row, field.position, quoted);
      if (text === undefined || text === null) empty += 1;
      if (text === undefined) continue;
      let value: string | undefined;
      if (text === null) {
        if (!field.clears) continue;
        value = 'null';
      } else {
        value = field.parse(text);
        if (value === undefined) {
          const rejection = { column: field.column, code: 'bad-value', message: `the value is not ${field.expected}` };
          if (rejectRow) return { kind: 'rejected', ...rejection };
          (rejections ??= []).push(rejection);
          continue;
        }
        values += 1;
      }
      parts[field.target] += parts[field.target] === '' ? field.key + value : `,${field.key}${value}`;
    }
    return {
      kind: 'row',
      ids,
      assign: parts.assign === '' ? emptyObject : `{${parts.assign}}`,
      fill: parts.fill === '' ? null : `{${parts.fill}}`,
      append: parts.append === '' ? null : `{${parts.append}}`,
      increment: parts.increment === '' ? null : `{${parts.increment}}`,
      consent: parts.consent === '' ? null : `{${parts.consent}}`,
      groups: parts.groups === '' ? null : `{${parts.groups}}`,
      erase: false,
      occurredAt,
      values,
      empty,
      fieldRejections: rejections ?? noRejections,
    };
  };
}
