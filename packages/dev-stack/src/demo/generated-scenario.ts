import path from 'node:path';
import type { SampleFacts } from '../sample-data/generate.js';
import type { Scenario } from './scenario.js';

const nullWords = ['NULL', '\\N'];

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
      csv: { delimiter: ';', nullWords },
      source: { pattern: { kind: 'wildcard', pattern: 'customers*.csv' } },
      linked: [
        {
          alias: 'orders',
          pattern: { kind: 'wildcard', pattern: 'orders*.csv.gz' },
          parent: 'root',
          column: 'customer id',
          parentColumn: 'customer id',
          csv: { delimiter: ',', nullWords },
        },
        {
          alias: 'lines',
          pattern: { kind: 'wildcard', pattern: 'order-lines*.txt' },
          parent: 'orders',
          column: 'order id',
          parentColumn: 'order id',
          csv: { delimiter: '\t', nullWords },
        },
      ],
      matching: {
        identifiers: [
          { column: 'customer id', namespace: 'customerId' },
          { column: 'e-mail', namespace: 'email' },
        ],
      },
      mappings: [
        { column: 'first name', property: 'person.name.firstName' },
        { column: 'last name', property: 'person.name.lastName' },
        { column: 'birthday', property: 'person.birthday', rule: 'set-or-clear' },
        { column: 'street', property: 'address.street' },
        { column: 'city', property: 'address.city' },
        { column: 'postal code', property: 'address.postalCode' },
        { column: 'country', property: 'address.country' },
        { column: 'points', property: 'loyalty.points' },
        { column: 'newsletter', property: 'newsletter' },
        { column: 'note', property: 'notes', rule: 'add' },
      ],
      events: [
        {
          file: 'orders',
          type: 'order',
          idColumn: 'order id',
          occurredAtColumn: 'ordered at',
          mappings: [
            { column: 'currency', property: 'currency' },
            { column: 'status', property: 'status' },
          ],
          lists: [
            {
              name: 'products',
              file: 'lines',
              mappings: [
                { column: 'product id', property: 'productId' },
                { column: 'product', property: 'name' },
                { column: 'unit price', property: 'unitPrice' },
                { column: 'quantity', property: 'quantity' },
                { column: 'discount', property: 'discount' },
              ],
            },
          ],
        },
      ],
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
