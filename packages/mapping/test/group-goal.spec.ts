import { importGroupsGoal, importProfilesGoal, type ImportGroupsGoal, type SegmentRule } from '@millrace/domain';
import { ColumnIndex, compileImportRow, importTarget, readsGroupType, type Catalogue } from '../src/index.js';
import { catalogueWith } from './catalogue-fixture.js';

const revenue = { id: 0, name: 'revenue', type: 'decimal', list: false } as const;
const catalogue: Catalogue = {
  ...catalogueWith({ name: 'string' }),
  groupTypes: new Map([['company', { id: 7, properties: new Map([['revenue', revenue]]) }]]),
};
const source = { bucket: 'bucket', pattern: { kind: 'every' } };
const goal = (changes: object = {}): ImportGroupsGoal =>
  importGroupsGoal.parse({
    kind: 'import-groups',
    name: 'g',
    groupType: 'company',
    source,
    matching: { column: 'key' },
    ...changes,
  });
const columns = (...names: string[]): ColumnIndex => new ColumnIndex('companies.csv', names, names.length);

describe('a goal of groups', () => {
  it('reads rows as one of profiles does, by its key and the properties of its type', () => {
    const target = importTarget(goal({ mappings: [{ column: 'r', property: 'revenue', rule: 'sum' }] }), catalogue);
    expect(target.groupTypeId).toBe(7);
    const mapper = compileImportRow(target.goal, columns('key', 'r'), target.catalogue);
    expect(mapper.map([' Acme ', '0.1'], undefined)).toMatchObject({ ids: ['Acme'], increment: '{"revenue":0.1}' });
    expect(mapper.map(['', '1'], undefined)).toMatchObject({ kind: 'rejected', code: 'no-identifier' });
  });

  it('knows no property and no namespace of profiles', () => {
    const target = importTarget(goal({ mappings: [{ column: 'n', property: 'name' }] }), catalogue);
    expect(() => compileImportRow(target.goal, columns('key', 'n'), target.catalogue)).toThrow('no property "name"');
    expect([...target.catalogue.namespaces.keys()]).not.toContain('email');
  });

  it('keeps every option it has in common with a goal of profiles', () => {
    const options = {
      csv: { delimiter: ';' },
      badValue: 'reject-field',
      rejectLimit: { rows: 3 },
      afterImport: 'delete',
      processors: [{ kind: 'trim', column: 'key' }],
      deleteFlag: { column: 'gone' },
      mappingPrefix: 'x.',
      columnDrift: { new: 'fail' },
    } as const;
    const { goal: read } = importTarget(goal(options), catalogue);
    const parsed = importProfilesGoal.parse({
      kind: 'import-profiles',
      name: 'g',
      source,
      matching: { identifiers: [{ column: 'key', namespace: 'x' }] },
      ...options,
      // Groups are no persons.
      erasedProfiles: 'create',
    });
    expect({ ...read, matching: undefined }).toEqual({ ...parsed, matching: undefined });
  });

  it('is refused where the workspace has no such type', () => {
    expect(() => importTarget(goal({ groupType: 'household' }), catalogue)).toThrow('no group type "household"');
  });
});

describe('links of profiles to groups', () => {
  const mapper = (link: object = {}): ReturnType<typeof compileImportRow> =>
    compileImportRow(
      importProfilesGoal.parse({
        kind: 'import-profiles',
        name: 'g',
        source,
        matching: { identifiers: [{ column: 'id', namespace: 'customerId' }] },
        csv: { list: { separator: '|', open: '[', close: ']' } },
        groupLinks: [{ column: 'company', type: 'company', ...link }],
      }),
      columns('id', 'company'),
      catalogue,
    );
  const linked = (value: string): unknown => {
    const row = mapper().map(['1', value], undefined);
    return row.kind === 'rejected' ? row.code : row.groups;
  };

  it.each([
    ['one key', 'acme', '{"0":["acme"]}'],
    ['a list of keys, trimmed', '[acme | bolt]', '{"0":["acme","bolt"]}'],
    ['no key', '', null],
    ['a list without keys', '[|]', '{"0":[]}'],
    ['a key that is too long', 'k'.repeat(513), 'bad-value'],
    ['a key like none other', '"__proto__', '{"0":["\\"__proto__"]}'],
  ])('read %s', (_name, value, expected) => {
    expect(linked(value)).toBe(expected);
  });

  it('say how they link', () => {
    expect(mapper({ createGroups: false, replace: true }).uses.groups).toEqual([
      { typeId: 7, create: false, replace: true },
    ]);
    expect(() => mapper({ type: 'household' })).toThrow('no group type "household"');
  });
});

describe('readsGroupType', () => {
  const group: SegmentRule = { kind: 'group', type: 'company', op: 'exists' };
  const consent: SegmentRule = { kind: 'consent', objective: 'news', op: 'granted' };

  it('finds a rule of the type at any depth', () => {
    const nested: SegmentRule = {
      kind: 'all',
      rules: [consent, { kind: 'not', rule: { kind: 'any', rules: [group] } }],
    };
    expect([group, nested, consent].map((rule) => readsGroupType(rule, 'company'))).toEqual([true, true, false]);
    expect(readsGroupType(nested, 'household')).toBe(false);
  });
});
