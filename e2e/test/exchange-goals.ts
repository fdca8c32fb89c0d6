import { sampleLinks, sampleNullWords, sampleOrderEvents, samplePersonMappings } from '@millrace/dev-stack';

/** What the exchange of these tests consists of, as the API takes it: every merge rule, events with lists, consent, three files. */

export const importFolder = 'incoming';
export const exportFolder = 'exports';

export const properties = [
  { name: 'person.name.firstName' },
  { name: 'person.name.lastName' },
  { name: 'person.birthday', type: 'date' },
  { name: 'address.street' },
  { name: 'address.city' },
  { name: 'address.postalCode' },
  { name: 'address.country' },
  { name: 'loyalty.points', type: 'integer' },
  { name: 'notes', list: true },
] as const;

export const segments = [
  { name: 'buyers', rule: { kind: 'event', type: 'order', aggregate: 'count', op: 'greater-or-equal', value: 1 } },
  {
    name: 'loyal',
    rule: { kind: 'property', property: 'loyalty.points', op: 'greater-or-equal', value: 2500 },
  },
  { name: 'subscribers', rule: { kind: 'consent', objective: 'newsletter', op: 'granted' } },
] as const;
export type SegmentName = (typeof segments)[number]['name'];

export function importGoal(bucket: string): Record<string, unknown> {
  return {
    kind: 'import-profiles',
    name: 'Import customers and orders',
    source: { bucket, directory: importFolder, pattern: { kind: 'wildcard', pattern: 'customers*.csv.gz.pgp' } },
    csv: { delimiter: ';', nullWords: sampleNullWords },
    linked: sampleLinks('orders*.csv.gz', 'order-lines*.txt'),
    matching: {
      identifiers: [
        { column: 'customer id', namespace: 'customerId' },
        { column: 'e-mail', namespace: 'email' },
        { column: 'phone', namespace: 'phone' },
      ],
    },
    mappings: [
      ...samplePersonMappings,
      { column: 'last name', property: 'person.name.lastName', rule: 'set-if-empty' },
      { column: 'points', property: 'loyalty.points', rule: 'sum' },
    ],
    consent: [{ column: 'newsletter', objective: 'newsletter' }],
    events: sampleOrderEvents,
  };
}

export function exportGoal(bucket: string, segmentId: string, parts: number): Record<string, unknown> {
  const text = (header: string, property: string): object => ({ header, source: { kind: 'property', property } });
  return {
    kind: 'export-profiles',
    name: 'Export buyers',
    segmentId,
    target: { bucket, directory: exportFolder },
    fileName: '%SEGMENT_NAME%_%DATETIME%',
    columns: [
      { header: 'Customer number', source: { kind: 'identity', namespace: 'customerId' } },
      { header: 'E-mail', source: { kind: 'identity', namespace: 'email' } },
      text('First name', 'person.name.firstName'),
      text('Last name', 'person.name.lastName'),
      text('Street', 'address.street'),
      text('Loyalty points', 'loyalty.points'),
      text('Notes', 'notes'),
      { header: 'Newsletter', source: { kind: 'consent', objective: 'newsletter' } },
      { header: 'Origin', source: { kind: 'fixed', text: 'Millrace, "end to end"' } },
    ],
    compression: 'gzip',
    pgp: { encrypt: true, sign: true },
    parts,
  };
}

/** What the stream shows of a profile, in the order of the record. */
export const streamedProperties = ['person.name.firstName', 'person.name.lastName', 'loyalty.points', 'notes'] as const;

export function streamGoal(streamName: string, segmentIds: readonly string[]): Record<string, unknown> {
  return {
    kind: 'stream',
    name: 'Profile changes',
    streamName,
    segmentIds,
    properties: streamedProperties,
    includeSegmentNames: true,
  };
}
