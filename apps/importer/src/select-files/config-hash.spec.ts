import { importProfilesGoal, type ImportProfilesGoal } from '@millrace/domain';
import { canonicalJson, configHash, setHash } from './config-hash.js';

const base = {
  kind: 'import-profiles',
  name: 'customers',
  source: { bucket: 'bucket', directory: 'in', pattern: { kind: 'wildcard', pattern: '*.csv' } },
  matching: { identifiers: [{ column: 'id', namespace: 'customerId' }] },
  mappings: [{ column: 'city', property: 'address.city' }],
};
const goal = (changes: Record<string, unknown> = {}): ImportProfilesGoal =>
  importProfilesGoal.parse({ ...base, ...changes });

describe('configHash', () => {
  const known = configHash(goal(), []);

  it.each([
    ['the name', { name: 'other' }],
    ['the order of files', { source: { ...base.source, order: 'oldest' } }],
    ['what becomes of the file', { afterImport: 'delete' }],
    ['the reject limit', { rejectLimit: { rows: 3 } }],
    ['an option that only writing uses', { csv: { lineEnding: 'crlf', quotePolicy: 'all', nullText: 'NULL' } }],
    ['whether the goal is active', { active: false }],
    ['what a mapping would create', { mappings: [{ ...base.mappings[0], createAs: 'string' }] }],
    ['the prefix of mappings that name no property', { mappingPrefix: 'crm.' }],
  ])('stays the same when %s changes', (_, changes) => {
    expect(configHash(goal(changes), [])).toBe(known);
  });

  it.each([
    ['the directory', { source: { ...base.source, directory: 'other' } }],
    ['a merge rule', { mappings: [{ column: 'city', property: 'address.city', rule: 'sum' }] }],
    ['the delimiter', { csv: { delimiter: ';' } }],
    ['whether profiles may be created', { matching: { ...base.matching, allowCreation: false } }],
    ['the domain group', { matching: { ...base.matching, domainGroupId: '0197a000-0000-7000-8000-000000000001' } }],
    ['what a bad value does', { badValue: 'reject-field' }],
    ['a delete flag', { deleteFlag: { column: 'gone' } }],
    ['what says how old a row is', { occurredAtColumn: 'at' }],
    ['a consent column', { consent: [{ column: 'news', objective: 'newsletter' }] }],
    [
      'a linked file',
      { linked: [{ alias: 'orders', pattern: { kind: 'exact', name: 'o.csv' }, column: 'id', parentColumn: 'id' }] },
    ],
  ])('changes with %s', (_, changes) => {
    expect(configHash(goal(changes), [])).not.toBe(known);
  });

  it('changes with the consent objectives of the connection, whatever their order', () => {
    expect(configHash(goal(), ['news'])).not.toBe(known);
    expect(configHash(goal(), ['sms', 'news'])).toBe(configHash(goal(), ['news', 'sms']));
  });

  it('does not depend on the order in which members were written', () => {
    expect(configHash(goal({ source: { pattern: base.source.pattern, directory: 'in', bucket: 'bucket' } }), [])).toBe(
      known,
    );
  });
});

describe('setHash', () => {
  const object = (name: string, etag: string) => ({ key: name, name, size: 3, etag, lastModified: new Date(0) });

  it('changes with any member', () => {
    const one = { root: object('a', '1'), linked: [{ alias: 'orders', object: object('o', '1') }] };
    const two = { root: object('a', '1'), linked: [{ alias: 'orders', object: object('o', '2') }] };
    expect(setHash(one)).not.toBe(setHash(two));
  });
});

describe('canonicalJson', () => {
  it('sorts members at every depth and keeps the order of lists', () => {
    expect(canonicalJson({ b: [{ d: 1, c: null }, 2], a: undefined })).toBe('{"b":[{"c":null,"d":1},2]}');
  });
});
