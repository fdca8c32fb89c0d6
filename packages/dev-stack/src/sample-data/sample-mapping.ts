/** What the columns of the generated files mean, as goal documents say it. */

export const sampleNullWords = ['NULL', '\\N'] as const;

/** The customers' columns that every goal on them maps alike. */
export const samplePersonMappings = [
  { column: 'first name', property: 'person.name.firstName' },
  { column: 'birthday', property: 'person.birthday', rule: 'set-or-clear' },
  { column: 'street', property: 'address.street' },
  { column: 'city', property: 'address.city' },
  { column: 'postal code', property: 'address.postalCode' },
  { column: 'country', property: 'address.country' },
  { column: 'note', property: 'notes', rule: 'add' },
] as const;

/** Orders become events, and their lines a list in them. `orders`, `lines`: the aliases of the linked files. */
export const sampleOrderEvents = [
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
] as const;

/** How orders hang on customers and lines on orders; `linesFile` and `ordersFile` are name patterns. */
export function sampleLinks(ordersFile: string, linesFile: string): readonly Readonly<Record<string, unknown>>[] {
  const nullWords = sampleNullWords;
  const link = (
    alias: string,
    pattern: string,
    parent: string,
    column: string,
    delimiter: string,
  ): Readonly<Record<string, unknown>> => ({
    alias,
    pattern: { kind: 'wildcard', pattern },
    parent,
    column,
    parentColumn: column,
    csv: { delimiter, nullWords },
  });
  return [link('orders', ordersFile, 'root', 'customer id', ','), link('lines', linesFile, 'orders', 'order id', '\t')];
}
