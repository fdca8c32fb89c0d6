import { profileUpdate, type MergeRule, type ProfileUpdate } from '@millrace/domain';
import {
  jsonString,
  maxIdentifierLength,
  normaliseIdentifier,
  timestampParser,
  type Catalogue,
} from '@millrace/mapping';
import { convertScalar, convertValue } from './json-value.js';

export interface StagedIdentity {
  readonly namespaceId: number;
  readonly value: string;
}

export interface StagedEvent {
  readonly eventTypeId: number;
  readonly id: string;
  readonly occurredAt: string;
  /** JSON objects as text. */
  readonly properties: string;
  readonly lists: string;
  readonly listRows: number;
}

export interface StagedGroup {
  readonly typeId: number;
  readonly key: string;
  readonly replace: boolean;
}

/** The part of a staged row that a merge rule writes. */
export type WritePart = 'assign' | 'fill' | 'append' | 'increment';

export interface StagedWrite {
  readonly property: string;
  readonly part: WritePart;
  /** JSON text; `null` clears. */
  readonly json: string;
}

/** One update made ready for the merge engine. */
export interface StagedUpdate {
  readonly index: number;
  readonly identities: readonly StagedIdentity[];
  /** At most one for each property. */
  readonly writes: readonly StagedWrite[];
  /** JSON object as text. */
  readonly consent: string | null;
  readonly groups: readonly StagedGroup[];
  readonly events: readonly StagedEvent[];
  /** When this was so, where the item says it; ISO-8601, UTC. */
  readonly occurredAt: string | null;
}

export interface RejectedUpdate {
  readonly index: number;
  readonly reason: string;
}

const partOf: Record<MergeRule, WritePart> = {
  set: 'assign',
  'set-or-clear': 'assign',
  'set-if-empty': 'fill',
  add: 'append',
  sum: 'increment',
};
const parseTime = timestampParser('UTC');

class Rejected extends Error {}

/** Checks one item of a batch against the catalogue and converts it; the reason of a rejection names the field. */
export function stageUpdate(index: number, item: unknown, catalogue: Catalogue): StagedUpdate | RejectedUpdate {
  const parsed = profileUpdate.safeParse(item);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    return { index, reason: `${issue.path.join('.') || 'item'}: ${issue.message}` };
  }
  const unstorable = unstorableAt(parsed.data, []);
  if (unstorable !== undefined) {
    const where = unstorable.join('.') || 'item';
    return { index, reason: `${where}: holds a NUL character or half of a surrogate pair, which cannot be stored` };
  }
  try {
    return stage(index, parsed.data, catalogue);
  } catch (error) {
    if (error instanceof Rejected) return { index, reason: error.message };
    throw error;
  }
}

const unstorableCharacter = /\0|\p{Surrogate}/u;

/** The path to the first text, or the object with the first name, that PostgreSQL cannot store. */
function unstorableAt(value: unknown, path: readonly string[]): readonly string[] | undefined {
  if (typeof value === 'string') return unstorableCharacter.test(value) ? path : undefined;
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [name, member] of Object.entries(value)) {
    if (unstorableCharacter.test(name)) return path;
    const found = unstorableAt(member, [...path, name]);
    if (found !== undefined) return found;
  }
  return undefined;
}

function stage(index: number, update: ProfileUpdate, catalogue: Catalogue): StagedUpdate {
  const writes = new Map<string, StagedWrite | undefined>();
  update.properties.forEach(({ property: name, value, rule }, position) => {
    const at = `properties.${position}`;
    const property = catalogue.properties.get(name);
    if (property === undefined)
      throw new Rejected(`${at}.property: the workspace has no property ${JSON.stringify(name)}`);
    if (writes.has(name)) throw new Rejected(`${at}.property: ${JSON.stringify(name)} stands twice in this item`);
    if (rule === 'add' && !property.list)
      throw new Rejected(`${at}.rule: "add" needs a list, and ${JSON.stringify(name)} is none`);
    if (rule === 'sum' && (property.list || (property.type !== 'integer' && property.type !== 'decimal'))) {
      throw new Rejected(`${at}.rule: "sum" needs a single number, and ${JSON.stringify(name)} is none`);
    }
    const converted = convertValue(value, property, rule === 'add');
    if (converted.kind === 'bad') throw new Rejected(`${at}.value: ${converted.message}`);
    const nothing = converted.json === null && rule !== 'set-or-clear';
    writes.set(name, nothing ? undefined : { property: name, part: partOf[rule], json: converted.json ?? 'null' });
  });
  const consent = update.consent.map(({ objective, granted }) => `${jsonString(objective)}:${granted}`);
  const events = update.events.map((event, position) => stageEvent(event, `events.${position}`, catalogue));
  return {
    index,
    occurredAt: timeOf(update, events),
    identities: stageIdentities(update, catalogue),
    writes: [...writes.values()].filter((write) => write !== undefined),
    consent: consent.length === 0 ? null : `{${consent.join(',')}}`,
    groups: stageGroups(update, catalogue),
    events,
  };
}

/** An item of nothing but events is as old as the latest of them. */
function timeOf(
  { occurredAt, properties, consent, groups }: ProfileUpdate,
  events: readonly StagedEvent[],
): string | null {
  if (occurredAt !== undefined) {
    const time = parseTime(occurredAt);
    if (time === undefined) throw new Rejected('occurredAt: not a timestamp');
    return time;
  }
  if (properties.length + consent.length + groups.length > 0) return null;
  return (
    events
      .map((event) => event.occurredAt)
      .sort()
      .at(-1) ?? null
  );
}

function stageGroups(update: ProfileUpdate, catalogue: Catalogue): readonly StagedGroup[] {
  return update.groups.map(({ type, key, replace }, position) => {
    const found = catalogue.groupTypes.get(type);
    if (found === undefined)
      throw new Rejected(`groups.${position}.type: the workspace has no group type ${JSON.stringify(type)}`);
    return { typeId: found.id, key, replace };
  });
}

function stageIdentities(update: ProfileUpdate, catalogue: Catalogue): readonly StagedIdentity[] {
  return update.identities.map(({ namespace: code, value }, position) => {
    const at = `identities.${position}`;
    const namespace = catalogue.namespaces.get(code);
    if (namespace === undefined)
      throw new Rejected(`${at}.namespace: the workspace has no identity namespace ${JSON.stringify(code)}`);
    const normalised = normaliseIdentifier(value, namespace.normalisation);
    if (normalised === undefined)
      throw new Rejected(`${at}.value: nothing is left of the identifier after normalisation`);
    if (normalised.length > maxIdentifierLength)
      throw new Rejected(`${at}.value: longer than ${maxIdentifierLength} characters`);
    return { namespaceId: namespace.id, value: normalised };
  });
}

function stageEvent(event: ProfileUpdate['events'][number], at: string, catalogue: Catalogue): StagedEvent {
  const eventType = catalogue.eventTypes.get(event.type);
  if (eventType === undefined)
    throw new Rejected(`${at}.type: the workspace has no event type ${JSON.stringify(event.type)}`);
  const occurredAt = parseTime(event.occurredAt);
  if (occurredAt === undefined) throw new Rejected(`${at}.occurredAt: not a timestamp`);
  const types = (
    definitions: readonly { name: string; type: Parameters<typeof convertScalar>[1] }[],
  ): Map<string, Parameters<typeof convertScalar>[1]> => new Map(definitions.map(({ name, type }) => [name, type]));
  const flat = (values: Readonly<Record<string, unknown>>, known: ReturnType<typeof types>, path: string): string => {
    const entries: string[] = [];
    for (const [name, value] of Object.entries(values)) {
      const type = known.get(name);
      if (type === undefined) throw new Rejected(`${path}: the event type has no ${JSON.stringify(name)}`);
      const converted = convertScalar(value, type);
      if (converted.kind === 'bad') throw new Rejected(`${path}.${name}: ${converted.message}`);
      if (converted.json !== null) entries.push(`${jsonString(name)}:${converted.json}`);
    }
    return `{${entries.join(',')}}`;
  };
  let listRows = 0;
  const lists = Object.entries(event.lists).map(([name, rows]) => {
    const definition = eventType.definition.lists.find((list) => list.name === name);
    if (definition === undefined) throw new Rejected(`${at}.lists: the event type has no list ${JSON.stringify(name)}`);
    const known = types(definition.properties);
    listRows += rows.length;
    return `${jsonString(name)}:[${rows.map((row, position) => flat(row, known, `${at}.lists.${name}.${position}`)).join(',')}]`;
  });
  return {
    eventTypeId: eventType.id,
    id: event.id,
    occurredAt,
    properties: flat(event.properties, types(eventType.definition.properties), `${at}.properties`),
    lists: `{${lists.join(',')}}`,
    listRows,
  };
}
