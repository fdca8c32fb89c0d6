import { reservedRecordNames, type StreamGoal } from '@millrace/domain';

/** What a profile looks like at one moment; every piece of JSON is text, so that numbers keep all their digits. */
export interface ProfileState {
  readonly profileId: string;
  /** A decimal number; never goes back for one profile. */
  readonly version: string;
  /** JSON of each property, in the order the state was asked for; `''` where the profile has no value. */
  readonly attributes: readonly string[];
  /** By namespace id, then value. */
  readonly identities: readonly ProfileIdentity[];
  /** By segment id. */
  readonly memberships: readonly ProfileMembership[];
  /** Objectives the profile has granted; empty too where no goal asks. */
  readonly consents: readonly string[];
}

export interface ProfileIdentity {
  readonly namespaceId: number;
  /** A JSON string. */
  readonly valueJson: string;
}

export interface ProfileMembership {
  readonly segmentId: string;
  readonly status: 'realized' | 'exited';
  /** When the state changed last: ISO-8601, UTC, with milliseconds. Text, as each goal's record says it again. */
  readonly qualifiedAt: string;
}

/** What a record says of a segment beside the membership itself. Times are epoch milliseconds. */
export interface SegmentFacts {
  readonly name: string;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** Undefined: the goal does not map the segment. */
  readonly mapping: { readonly createdAtMs: number; readonly updatedAtMs: number } | undefined;
}

export interface RecordCatalogue {
  /** Undefined: the segment is gone, and the record leaves it out. */
  segment(segmentId: string): SegmentFacts | undefined;
  /** The namespace's code. */
  namespace(namespaceId: number): string | undefined;
}

/** What only the envelope shows. */
export interface RecordOccasion {
  readonly eventId: string;
  readonly reasons: readonly string[];
  /** Epoch milliseconds of the latest change the record stands for. */
  readonly occurredAtMs: number;
  readonly erased: boolean;
}

export interface RecordTemplate {
  /** The record as JSON text, without spaces; keys in a fixed order. */
  render(state: ProfileState, occasion: RecordOccasion): string;
}

type Options = Pick<StreamGoal, 'properties' | 'includeSegmentNames' | 'includeSegmentTimestamps' | 'envelope'>;

/**
 * Compiles a goal's mapping once, so that building a record is splicing text.
 * `attributeIndex` says where in `ProfileState.attributes` a property stands.
 */
export function compileRecordTemplate(
  goal: Options,
  attributeIndex: ReadonlyMap<string, number>,
  catalogue: RecordCatalogue,
): RecordTemplate {
  const attributes = compileAttributes(goal.properties, attributeIndex);
  const facts = new Map<string, string>();

  const segmentFacts = (segmentId: string): string | undefined => {
    const known = facts.get(segmentId);
    if (known !== undefined) return known;
    const found = catalogue.segment(segmentId);
    if (found === undefined) return undefined;
    const text = factsJson(found, goal);
    facts.set(segmentId, text);
    return text;
  };

  return {
    render(state, occasion) {
      let text = attributes(state.attributes);
      text += `${text === '' ? '' : ','}"${reservedRecordNames.membership}":{"ups":{${membershipsJson(state.memberships, segmentFacts)}}}`;
      text += `,"${reservedRecordNames.identities}":{${identitiesJson(state.identities, catalogue)}}`;
      if (goal.envelope) text += `,"${reservedRecordNames.envelope}":${envelopeJson(state, occasion)}`;
      return `{${text}}`;
    },
  };
}

interface AttributeNode {
  /** `"name":` */
  readonly label: string;
  /** A leaf's place in the state's attributes. */
  readonly index: number | undefined;
  readonly children: AttributeNode[];
}

/** `a.b` and `a.c` become one object `a`. Values that are absent leave no trace, nor do objects without values. */
function compileAttributes(
  properties: readonly string[],
  attributeIndex: ReadonlyMap<string, number>,
): (attributes: readonly string[]) => string {
  const root: AttributeNode = { label: '', index: undefined, children: [] };
  for (const property of properties) {
    const index = attributeIndex.get(property);
    if (index === undefined) throw new RangeError(`no place for the property ${property}`);
    let node = root;
    const path = property.split('.');
    path.forEach((step, depth) => {
      const label = `${JSON.stringify(step)}:`;
      let child = node.children.find((candidate) => candidate.label === label);
      if (child === undefined) {
        child = { label, index: depth === path.length - 1 ? index : undefined, children: [] };
        node.children.push(child);
      }
      node = child;
    });
  }
  return (attributes) => innerJson(root.children, attributes);
}

function innerJson(nodes: readonly AttributeNode[], attributes: readonly string[]): string {
  let text = '';
  for (const node of nodes) {
    let value: string;
    if (node.index === undefined) {
      const inner = innerJson(node.children, attributes);
      if (inner === '') continue;
      value = `{${inner}}`;
    } else {
      value = attributes[node.index] ?? '';
      if (value === '') continue;
    }
    text += text === '' ? node.label + value : `,${node.label}${value}`;
  }
  return text;
}

function membershipsJson(
  memberships: readonly ProfileMembership[],
  segmentFacts: (segmentId: string) => string | undefined,
): string {
  let text = '';
  for (const { segmentId, status, qualifiedAt } of memberships) {
    const facts = segmentFacts(segmentId);
    if (facts === undefined) continue;
    if (text !== '') text += ',';
    text += `"${segmentId}":{"lastQualificationTime":"${qualifiedAt}","status":"${status}"${facts}}`;
  }
  return text;
}

function factsJson(segment: SegmentFacts, goal: Options): string {
  let text = '';
  if (goal.includeSegmentTimestamps) {
    text += `,"createdAt":${segment.createdAtMs},"updatedAt":${segment.updatedAtMs}`;
    if (segment.mapping !== undefined) {
      text += `,"mappingCreatedAt":${segment.mapping.createdAtMs},"mappingUpdatedAt":${segment.mapping.updatedAtMs}`;
    }
  }
  if (goal.includeSegmentNames) text += `,"name":${JSON.stringify(segment.name)}`;
  return text;
}

function identitiesJson(identities: readonly ProfileIdentity[], catalogue: RecordCatalogue): string {
  let text = '';
  let open: number | undefined;
  for (const { namespaceId, valueJson } of identities) {
    if (namespaceId === open) {
      text += `,{"id":${valueJson}}`;
      continue;
    }
    const code = catalogue.namespace(namespaceId);
    if (code === undefined) continue;
    text += `${open === undefined ? '' : '],'}${JSON.stringify(code)}:[{"id":${valueJson}}`;
    open = namespaceId;
  }
  return open === undefined ? '' : `${text}]`;
}

function envelopeJson(state: ProfileState, occasion: RecordOccasion): string {
  const { eventId, reasons, occurredAtMs, erased } = occasion;
  const head = `"eventId":${JSON.stringify(eventId)},"profileId":"${state.profileId}","version":${state.version}`;
  return `{${head},"reasons":${JSON.stringify(reasons)},"occurredAt":"${new Date(occurredAtMs).toISOString()}","erased":${erased}}`;
}

/**
 * The same profile as a receiver is told to forget it: no attributes, and in no segment any more. Those it was in, it left at `atMs`
 * (epoch milliseconds).
 */
export function takenBack(state: ProfileState, atMs: number): ProfileState {
  const leftAt = new Date(atMs).toISOString();
  return {
    ...state,
    attributes: [],
    memberships: state.memberships.map(({ segmentId, status, qualifiedAt }) => ({
      segmentId,
      status: 'exited',
      qualifiedAt: status === 'exited' ? qualifiedAt : leftAt,
    })),
  };
}
