import path from 'node:path';
import type { SampleFacts } from '../sample-data/generate.js';
import {
  sampleLinks,
  sampleNullWords,
  sampleOrderEvents,
  samplePersonMappings,
} from '../sample-data/sample-mapping.js';
import type { Scenario } from './scenario.js';

/** The generated sample: customers, their orders, the orders' lines. `directory` holds the three files, `facts` is what went into them. */
export function generatedScenario(directory: string, facts: SampleFacts): Scenario {
  const text = (header: string, property: string) => ({ header, source: { kind: 'property', property } });
  return {
    workspace: 'demo',
    title: 'Demo shop',
    bucket: 'demo-exchange',
    stream: 'demo-profile-changes',
    files: ['customers.csv', 'orders.csv.gz', 'order-lines.txt'].map((name) => ({
      file: path.join(directory, name),
      name,
    })),
    properties: [
      { name: 'person.name.firstName' },
      { name: 'person.name.lastName' },
      { name: 'person.birthday', type: 'date' },
      { name: 'address.street' },
      { name: 'address.city' },
      { name: 'address.postalCode' },
      { name: 'address.country' },
      { name: 'loyalty.points', type: 'integer' },
      { name: 'newsletter', type: 'boolean' },
      { name: 'notes', list: true },
    ],
    segments: [
      { name: 'buyers', rule: { kind: 'event', type: 'order', aggregate: 'count', op: 'greater-or-equal', value: 1 } },
      {
        name: 'loyal-germans',
        rule: {
          kind: 'all',
          rules: [
            { kind: 'property', property: 'address.country', op: 'equals', value: 'Germany' },
            { kind: 'property', property: 'loyalty.points', op: 'greater-or-equal', value: 2500 },
          ],
        },
      },
    ],
    importGoal: {
      csv: { delimiter: ';', nullWords: sampleNullWords },
      source: { pattern: { kind: 'wildcard', pattern: 'customers*.csv' } },
      linked: sampleLinks('orders*.csv.gz', 'order-lines*.txt'),
      matching: {
        identifiers: [
          { column: 'customer id', namespace: 'customerId' },
          { column: 'e-mail', namespace: 'email' },
        ],
      },
      mappings: [
        ...samplePersonMappings,
        { column: 'last name', property: 'person.name.lastName' },
        { column: 'points', property: 'loyalty.points' },
        { column: 'newsletter', property: 'newsletter' },
      ],
      events: sampleOrderEvents,
    },
    exportSegment: 'buyers',
    exportColumns: [
      { header: 'Customer number', source: { kind: 'identity', namespace: 'customerId' } },
      { header: 'E-mail', source: { kind: 'identity', namespace: 'email' } },
      text('First name', 'person.name.firstName'),
      text('Last name', 'person.name.lastName'),
      text('Postal code', 'address.postalCode'),
      text('City', 'address.city'),
      text('Loyalty points', 'loyalty.points'),
      text('Notes', 'notes'),
    ],
    expected: {
      profiles: facts.customers,
      events: facts.orders - facts.orphanOrders,
      eventLines: facts.lines - facts.orphanLines,
    },
    streamProperties: ['person.name.firstName', 'person.name.lastName', 'address.country', 'loyalty.points'],
  };
}
