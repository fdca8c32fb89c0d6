import { createWriteStream, mkdirSync } from 'node:fs';
import path from 'node:path';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { Random } from './random.js';
import { firstNames, lastNames, notes, places, products, streets } from './vocabulary.js';

export interface SampleSizes {
  readonly customers: number;
  readonly orders: number;
  /** On average; at least one line an order. */
  readonly linesPerOrder: number;
  readonly seed: number;
}

export const demoSizes: SampleSizes = { customers: 5000, orders: 12_000, linesPerOrder: 2.5, seed: 20 };

/** What the files hold, counted while they were written. */
export interface SampleFacts {
  /** Data rows of customers.csv, bad and repeated ones included. */
  readonly customerRows: number;
  readonly badCustomerRows: number;
  /** Customers with at least one good row: the profiles an import should make. */
  readonly customers: number;
  readonly orders: number;
  /** Orders of customers that do not exist. */
  readonly orphanOrders: number;
  readonly lines: number;
  /** Lines of those orders. */
  readonly orphanLines: number;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Writes `customers.csv` (semicolons, byte order mark, mixed line endings), `orders.csv.gz` and `order-lines.txt` (tabs)
 * into the directory, as streams. Everything follows from the seed: the same sizes give the same bytes.
 */
export async function generateSampleData(directory: string, sizes: SampleSizes): Promise<SampleFacts> {
  mkdirSync(directory, { recursive: true });
  const facts: Mutable<SampleFacts> = {
    customerRows: 0,
    badCustomerRows: 0,
    customers: 0,
    orders: 0,
    orphanOrders: 0,
    lines: 0,
    orphanLines: 0,
  };
  const file = (name: string): Writable => createWriteStream(path.join(directory, name));
  await pipeline(Readable.from(inBlocks(customerRows(sizes, facts))), file('customers.csv'));
  await pipeline(Readable.from(inBlocks(orderRows(sizes, facts))), createGzip({ level: 6 }), file('orders.csv.gz'));
  await pipeline(Readable.from(inBlocks(lineRows(sizes, facts))), file('order-lines.txt'));
  return facts;
}

function* customerRows(sizes: SampleSizes, facts: Mutable<SampleFacts>): Generator<string> {
  const random = new Random(sizes.seed);
  yield `\uFEFF${customerColumns.join(';')}\r\n`;
  for (let number = 1; number <= sizes.customers; number += 1) {
    const customer = makeCustomer(random, number);
    const ending = (): string => (random.chance(0.3) ? '\r\n' : '\n');
    if (random.chance(0.005)) {
      facts.customerRows += 1;
      facts.badCustomerRows += 1;
      yield badRow(customer, facts.badCustomerRows) + ending();
    }
    facts.customers += 1;
    facts.customerRows += 1;
    yield customer.join(';') + ending();
    if (random.chance(0.01)) {
      // The same customer once more, with newer points and the e-mail address in other letters.
      const email = customer[1] ?? '';
      const again = customer
        .with(1, email === 'NULL' ? email : email.toUpperCase())
        .with(11, String(random.integer(0, 9000)));
      facts.customerRows += 1;
      yield again.join(';') + ending();
    }
  }
}

const customerColumns = [
  'customer id',
  'e-mail',
  'phone',
  'first name',
  'last name',
  'street',
  'city',
  'postal code',
  'country',
  'birthday',
  'newsletter',
  'points',
  'note',
] as const;

function makeCustomer(random: Random, number: number): readonly string[] {
  const [firstName, lastName, place] = [random.pick(firstNames), random.pick(lastNames), random.pick(places)];
  const mailbox = `${firstName}.${lastName}`
    .normalize('NFD')
    .replace(/[^A-Za-z.]/g, '')
    .toLowerCase();
  const missing = (): string => random.pick(['NULL', '', '\\N']);
  const birthday = `${random.integer(1940, 2006)}-${two(random.integer(1, 12))}-${two(random.integer(1, 28))}`;
  return [
    customerId(number),
    random.chance(0.03) ? 'NULL' : `${mailbox}${number}@example.${random.pick(['com', 'org', 'net'])}`,
    random.chance(0.2) ? missing() : `+49 (0)30 ${String(1_000_000 + number).replace(/(\d{3})/, '$1 ')}`,
    firstName,
    quoteIfNeeded(lastName),
    quote(`${random.pick(streets)} ${random.integer(1, 180)}`),
    place.city,
    place.postalCode,
    place.country,
    random.chance(0.1) ? missing() : birthday,
    random.pick(['yes', 'no', 'true', '0']),
    random.chance(0.1) ? '' : String(random.integer(0, 5000)),
    // Empty and quoted-empty are different things to a reader that is told so.
    random.chance(0.5) ? random.pick(['', '""']) : quote(random.pick(notes)),
  ];
}

// In turn: a row cut short, and a number that is none.
function badRow(customer: readonly string[], ordinal: number): string {
  return ordinal % 2 === 1 ? customer.slice(0, 5).join(';') : customer.with(11, 'a lot').join(';');
}

function* orderRows(sizes: SampleSizes, facts: Mutable<SampleFacts>): Generator<string> {
  const random = new Random(sizes.seed + 1);
  yield 'order id,customer id,ordered at,currency,status\n';
  for (let number = 1; number <= sizes.orders; number += 1) {
    const orphan = isOrphan(number);
    facts.orders += 1;
    if (orphan) facts.orphanOrders += 1;
    const customer = orphan ? `X${number}` : customerId(random.integer(1, sizes.customers));
    const orderedAt = new Date(Date.UTC(2024, 0, 1) + random.integer(0, 700 * 86_400) * 1000)
      .toISOString()
      .replace('T', ' ')
      .replace('Z', '');
    yield `${orderId(number)},${customer},${orderedAt},${random.pick(['EUR', 'USD', 'GBP'])},${random.pick(['paid', 'sent', '"returned, refunded"'])}\n`;
  }
}

function* lineRows(sizes: SampleSizes, facts: Mutable<SampleFacts>): Generator<string> {
  const random = new Random(sizes.seed + 2);
  yield 'order id\tproduct id\tproduct\tunit price\tquantity\tdiscount\r\n';
  for (let number = 1; number <= sizes.orders; number += 1) {
    const lines = random.integer(1, Math.max(1, Math.round(sizes.linesPerOrder * 2 - 1)));
    facts.lines += lines;
    if (isOrphan(number)) facts.orphanLines += lines;
    for (let line = 0; line < lines; line += 1) {
      const product = random.pick(products);
      const discount = random.pick(['0', '0.05', '0.1', 'NULL']);
      yield `${orderId(number)}\t${product.id}\t${quoteIfNeeded(product.name)}\t${product.price.toFixed(2)}\t${random.integer(1, 9)}\t${discount}\r\n`;
    }
  }
}

function isOrphan(order: number): boolean {
  return order % 997 === 0;
}

// Numbers that are names: their leading zeros have to survive.
function customerId(number: number): string {
  return String(number).padStart(7, '0');
}

function orderId(number: number): string {
  return `A-${String(number).padStart(8, '0')}`;
}

function two(number: number): string {
  return String(number).padStart(2, '0');
}

function quote(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}

function quoteIfNeeded(text: string): string {
  return /[";,\t\r\n]/.test(text) ? quote(text) : text;
}

const blockCharacters = 64 * 1024;

// Rows in blocks: a stream chunk for every row costs more than making the row.
function* inBlocks(rows: Generator<string>): Generator<Buffer> {
  let block = '';
  for (const row of rows) {
    block += row;
    if (block.length >= blockCharacters) {
      yield Buffer.from(block);
      block = '';
    }
  }
  if (block !== '') yield Buffer.from(block);
}
