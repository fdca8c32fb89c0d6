import { existsSync } from 'node:fs';
import path from 'node:path';
import { StackError } from '../stack-error.js';
import type { Scenario } from './scenario.js';

/** Microsoft's Northwind sample as CSV (neo4j-contrib/northwind-neo4j): customers <- orders <- order-details. */
export function northwindScenario(directory: string): Scenario {
  const names = ['customers.csv', 'orders.csv', 'order-details.csv'];
  const missing = names.filter((name) => !existsSync(path.join(directory, name)));
  if (missing.length > 0) {
    throw new StackError(
      `${path.resolve(directory)} has no ${missing.join(', ')}`,
      'give the folder that holds the Northwind files: npm run demo -- --northwind DIR',
    );
  }
  const property = (column: string, name: string, rule?: string) => ({
    column,
    property: name,
    ...(rule === undefined ? {} : { rule }),
  });
  return {
    workspace: 'northwind',
    title: 'Northwind Traders',
    bucket: 'northwind-exchange',
    stream: 'northwind-profile-changes',
    files: names.map((name) => ({ file: path.join(directory, name), name })),
    properties: [
      { name: 'company.name' },
      { name: 'contact.name' },
      { name: 'contact.title' },
      { name: 'address.street' },
      { name: 'address.city' },
      { name: 'address.region' },
      { name: 'address.postalCode' },
      { name: 'address.country' },
      { name: 'phone' },
      { name: 'fax' },
    ],
    segments: [
      { name: 'buyers', rule: { kind: 'event', type: 'order', aggregate: 'count', op: 'greater-or-equal', value: 1 } },
      { name: 'germany', rule: { kind: 'property', property: 'address.country', op: 'equals', value: 'Germany' } },
    ],
    importGoal: {
      // The published files leave commas in addresses unquoted: such rows are longer than the header and are cut.
      csv: { nullWords: ['NULL'], longRows: 'cut' },
      source: { pattern: { kind: 'exact', name: 'customers.csv' } },
      linked: [
        {
          alias: 'orders',
          pattern: { kind: 'exact', name: 'orders.csv' },
          parent: 'root',
          column: 'customerID',
          parentColumn: 'customerID',
        },
        {
          alias: 'details',
          pattern: { kind: 'exact', name: 'order-details.csv' },
          parent: 'orders',
          column: 'orderID',
          parentColumn: 'orderID',
        },
      ],
      matching: { identifiers: [{ column: 'customerID', namespace: 'customerId' }] },
      mappings: [
        property('companyName', 'company.name'),
        property('contactName', 'contact.name'),
        property('contactTitle', 'contact.title'),
        property('address', 'address.street'),
        property('city', 'address.city'),
        property('region', 'address.region', 'set-or-clear'),
        property('postalCode', 'address.postalCode'),
        property('country', 'address.country'),
        property('phone', 'phone'),
        property('fax', 'fax', 'set-or-clear'),
      ],
      events: [
        {
          file: 'orders',
          type: 'order',
          idColumn: 'orderID',
          occurredAtColumn: 'orderDate',
          mappings: [],
          lists: [
            {
              name: 'products',
              file: 'details',
              mappings: [
                { column: 'productID', property: 'productId' },
                { column: 'unitPrice', property: 'unitPrice' },
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
      { header: 'Company', source: { kind: 'property', property: 'company.name' } },
      { header: 'Contact', source: { kind: 'property', property: 'contact.name' } },
      { header: 'City', source: { kind: 'property', property: 'address.city' } },
      { header: 'Postal code', source: { kind: 'property', property: 'address.postalCode' } },
      { header: 'Country', source: { kind: 'property', property: 'address.country' } },
    ],
    streamProperties: ['company.name', 'contact.name', 'address.country'],
  };
}
