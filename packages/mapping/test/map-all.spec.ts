import { importProfilesGoal } from '@millrace/domain';
import { ColumnIndex, compileImportRow } from '../src/index.js';
import { catalogueWith } from './catalogue-fixture.js';

const catalogue = catalogueWith({
  'crm.city': 'string',
  'crm.tags': 'string[]',
  'crm.visits': 'integer',
  name: 'string',
});

function compile(header: readonly string[], more: object) {
  const goal = importProfilesGoal.parse({
    kind: 'import-profiles',
    name: 'g',
    source: { bucket: 'bucket', pattern: { kind: 'every' } },
    matching: { identifiers: [{ column: 'id', namespace: 'customerId' }] },
    ...more,
  });
  return compileImportRow(goal, new ColumnIndex('people.csv', header, header.length), catalogue);
}

describe('mapping every column', () => {
  const header = ['id', 'city', 'visits', 'nick', 'zip', 'zip', 'skip', 'tags'];
  const row = ['1', 'Ghent', '3', 'Annie', 'x', 'y', 'z', 'a;b'];

  it('takes those that nothing else names, with a prefix; the rest is told', () => {
    const mapper = compile(header, {
      mappings: [{ column: 'nick', property: 'name' }],
      mapAll: { prefix: 'crm.', except: ['skip'] },
    });
    expect(mapper.leftOut).toEqual([]);
    expect(mapper.map(row, undefined)).toMatchObject({
      assign: '{"name":"Annie","crm.city":"Ghent","crm.tags":["a","b"],"crm.visits":3}',
    });
  });

  it('leaves out what has no property, or one that another mapping fills', () => {
    const mappings = [{ column: 'nick', property: 'crm.city' }];
    expect(compile(header, { mappings, mapAll: { prefix: 'crm.' } }).leftOut).toEqual(['city', 'skip']);
  });

  it('keeps to properties that fit the rule, and stages the same whatever the header', () => {
    const mapAll = { prefix: 'crm.', rule: 'sum' };
    expect(compile(header, { mapAll }).map(row, undefined)).toMatchObject({
      increment: '{"crm.visits":3}',
      assign: '{}',
    });
    expect(compile(['id'], { mapAll }).uses).toEqual(compile(header, { mapAll }).uses);
    expect(compile(['id'], { mapAll }).uses.increment).toEqual(['crm.visits']);
    expect(compile(header, { mapAll: { prefix: 'crm.', rule: 'add' } }).map(row, undefined)).toMatchObject({
      append: '{"crm.tags":["a","b"]}',
    });
  });
});
