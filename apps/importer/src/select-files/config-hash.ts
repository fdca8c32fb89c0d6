import { createHash } from 'node:crypto';
import type { CsvDialect, ImportGuardrails, ImportProfilesGoal } from '@millrace/domain';
import type { FileSet } from './group-file-sets.js';

// Raised when the meaning of a goal's options changes, so that files are known to have been read differently.
const hashVersion = 1;

/**
 * SHA-256 over what changes a row's effect and nothing else: no name, schedule, order, limit or secret. Two goals with
 * the same hash do the same with the same file.
 * @param consentObjectives of the connection
 * @param groupTypeId where the goal imports groups
 * @param unit the organizational unit the connection is kept to
 */
export function configHash(
  goal: ImportProfilesGoal,
  consentObjectives: readonly string[],
  groupTypeId?: number,
  unit?: ImportGuardrails['unit'],
): string {
  return digest({
    version: hashVersion,
    consentObjectives: [...consentObjectives].sort(),
    unit,
    source: { bucket: goal.source.bucket, directory: goal.source.directory, pattern: goal.source.pattern },
    csv: readingOptions(goal.csv),
    linked: goal.linked.map(({ csv, ...link }) => (csv === undefined ? link : { ...link, csv: readingOptions(csv) })),
    matching: goal.matching,
    processors: goal.processors,
    mappings: goal.mappings.map(({ column, property, rule }) => ({ column, property, rule })),
    mapAll: goal.mapAll,
    consent: goal.consent,
    deleteFlag: goal.deleteFlag,
    erasedProfiles: goal.erasedProfiles,
    occurredAtColumn: goal.occurredAtColumn,
    groupTypeId,
    groupLinks: goal.groupLinks,
    events: goal.events,
    badValue: goal.badValue,
  });
}

/** SHA-256 over the identity of every object of a set: any changed member makes it another set. */
export function setHash(set: FileSet): string {
  const member = (alias: string, object: FileSet['root']): unknown => [alias, object.key, object.etag, object.size];
  return digest([member('root', set.root), ...set.linked.map(({ alias, object }) => member(alias, object))]);
}

function readingOptions(dialect: CsvDialect): Partial<CsvDialect> {
  const { quotePolicy: _quotePolicy, lineEnding: _lineEnding, nullText: _nullText, ...reading } = dialect;
  return reading;
}

function digest(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}

/** JSON with sorted keys, so that equal values have equal texts. `undefined` members are left out, as in JSON. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`);
    return `{${members.join(',')}}`;
  }
  return JSON.stringify(value ?? null);
}
