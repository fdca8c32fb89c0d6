import { goal, type Labelled } from '@millrace/domain';
import type { Catalogue } from '@millrace/mapping';
import { brokenPolicies, inheritedLabels } from './check-policies.js';

const segmentId = '0194b2a0-0000-7000-8000-000000000001';
const empty = new Map<string, never>();
const catalogue = {
  segments: new Map([[segmentId, { id: segmentId, name: 'Patients', versions: [] }]]),
  eventTypes: empty,
  lifecycles: empty,
} as unknown as Catalogue;
const exported = goal.parse({
  kind: 'export-profiles',
  name: 'e',
  segmentId,
  target: { bucket: 'out' },
  columns: [
    { header: 'm', source: { kind: 'property', property: 'mail' } },
    { header: 's', source: { kind: 'segments' } },
  ],
});
const broken = (labelled: readonly Labelled[], actions: readonly string[] = ['ads']) =>
  brokenPolicies(
    exported,
    { marketingActions: [...actions] },
    { labelled, policies: [{ name: 'P', label: 'C1', action: 'ads' }], uniqueProperties: [] },
    catalogue,
  ).map(({ path }) => path.join('.'));

describe('policies', () => {
  it('name every field by which labelled data would leave', () => {
    expect(broken([{ kind: 'property', name: 'mail', labels: ['C2', 'C1'] }])).toEqual(['columns.0.source']);
    expect(broken([{ kind: 'segment', name: segmentId, labels: ['C1'] }])).toEqual(['segmentId', 'columns.1.source']);
  });

  it('do not concern other labels, nor connections without the action', () => {
    expect(broken([{ kind: 'property', name: 'mail', labels: ['C2'] }])).toEqual([]);
    expect(broken([{ kind: 'property', name: 'mail', labels: ['C1'] }], ['print'])).toEqual([]);
  });
});

it('hands the labels of an import goal on to the properties, event types and group types it fills', () => {
  const imported = goal.parse({
    kind: 'import-profiles',
    name: 'i',
    source: { bucket: 'files', pattern: { kind: 'every' } },
    matching: { identifiers: [{ column: 'e', namespace: 'email' }] },
    mappings: [{ column: 'a', property: 'mail' }],
    events: [{ type: 'order', idColumn: 'o', occurredAtColumn: 't' }],
    groupLinks: [{ column: 'c', type: 'company' }],
  });
  expect(inheritedLabels(imported, ['C1'])).toEqual([
    { kind: 'property', name: 'mail', labels: ['C1'] },
    { kind: 'event-type', name: 'order', labels: ['C1'] },
    { kind: 'group-type', name: 'company', labels: ['C1'] },
  ]);
  const groups = goal.parse({
    kind: 'import-groups',
    name: 'g',
    groupType: 'household',
    source: { bucket: 'files', pattern: { kind: 'every' } },
    matching: { column: 'k' },
  });
  expect(inheritedLabels(groups, ['C2'])).toEqual([{ kind: 'group-type', name: 'household', labels: ['C2'] }]);
});
