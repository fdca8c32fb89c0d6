import { importProfilesGoal, type ImportProfilesGoal } from '@millrace/domain';
import { bucketName } from './bench-stack.js';
import { csvFile } from './csv-file.js';

export const ordersPerRoot = 5;
export const linesPerOrder = 2;

/** Local paths of the three files of a set, by the name of the object. */
export type LinkedFiles = Readonly<Record<'customers' | 'orders' | 'lines', string>>;

/** Customers with five orders of two lines each. The orders do not stand in the order of their customers, nor the lines in that of their orders. */
export async function linkedFiles(roots: number): Promise<LinkedFiles> {
  const orders = roots * ordersPerRoot;
  const lines = orders * linesPerOrder;
  return {
    customers: await csvFile(`customers-${roots}`, roots, 'email,first_name,city', (row) => {
      return `person${row}@example.com,First${row % 5000},Town ${row % 300}`;
    }),
    orders: await csvFile(`orders-${orders}`, orders, 'order,customer,at,total', (row) => {
      const day = String(1 + (row % 28)).padStart(2, '0');
      return `O${String(row).padStart(9, '0')},person${row % roots}@example.com,2026-0${1 + (row % 9)}-${day},${row % 500}.${10 + (row % 90)}`;
    }),
    lines: await csvFile(`lines-${lines}`, lines, 'order,product,quantity', (row) => {
      return `O${String(row % orders).padStart(9, '0')},P${row % 10_000},${1 + (row % 4)}`;
    }),
  };
}

/** The parts of a goal that import such a set from `import/<prefix>-*.csv`. */
export function linkedGoal(prefix: string): Partial<ImportProfilesGoal> {
  const exact = (name: string): { kind: 'exact'; name: string } => ({ kind: 'exact', name: `${prefix}-${name}.csv` });
  const { source, linked, mappings, events } = importProfilesGoal.parse({
    kind: 'import-profiles',
    name: 'linked',
    source: { bucket: bucketName, directory: 'import', pattern: exact('customers') },
    matching: { identifiers: [{ column: 'email', namespace: 'email' }] },
    mappings: [
      { column: 'first_name', property: 'person.firstName' },
      { column: 'city', property: 'address.city' },
    ],
    linked: [
      { alias: 'orders', pattern: exact('orders'), column: 'customer', parentColumn: 'email' },
      { alias: 'lines', pattern: exact('lines'), parent: 'orders', column: 'order', parentColumn: 'order' },
    ],
    events: [
      {
        file: 'orders',
        type: 'order',
        idColumn: 'order',
        occurredAtColumn: 'at',
        mappings: [{ column: 'total', property: 'total' }],
        lists: [
          {
            name: 'products',
            file: 'lines',
            mappings: [
              { column: 'product', property: 'productId' },
              { column: 'quantity', property: 'quantity' },
            ],
          },
        ],
      },
    ],
  });
  return { source, linked, mappings, events };
}
