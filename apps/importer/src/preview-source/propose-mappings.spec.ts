import type { PropertyType } from '@millrace/domain';
import { proposeMappings } from './propose-mappings.js';

const property = (name: string, type: PropertyType = 'string', list = false) => ({ id: 1, name, type, list });
const namespace = (code: string) => ({ id: 1, code, normalisation: {} as never });
const catalogue = {
  namespaces: new Map([['customerId', namespace('customerId')]]),
  properties: new Map([
    ['person.firstName', property('person.firstName')],
    ['tags', property('tags', 'string', true)],
  ]),
};
const propose = (...names: string[]) =>
  proposeMappings(
    names.map((column) => ({ column, type: 'decimal' as const })),
    catalogue,
  ).map(({ mapping }) => mapping);

it('finds namespaces and properties whatever the case, spaces and underscores', () => {
  expect(propose('CUSTOMER_ID', 'Person First Name', 'tags')).toEqual([
    { kind: 'identifier', namespace: 'customerId' },
    {
      kind: 'property',
      property: 'person.firstName',
      rule: 'set',
      exists: true,
      type: 'string',
      warning: expect.stringContaining('overwrite'),
    },
    {
      kind: 'property',
      property: 'tags',
      rule: 'add',
      exists: true,
      type: 'string',
      warning: expect.stringContaining('add to its lists'),
    },
  ]);
});

it('proposes a new property of the type the values look like', () => {
  expect(propose(' Total..Spent\t')).toEqual([
    { kind: 'property', property: 'Total.Spent', rule: 'set', exists: false, type: 'decimal' },
  ]);
});

it('proposes no target twice, and none for a column without name', () => {
  expect(propose('Customer ID', 'customer_id', '', '..')).toEqual([
    { kind: 'identifier', namespace: 'customerId' },
    undefined,
    undefined,
    undefined,
  ]);
});
