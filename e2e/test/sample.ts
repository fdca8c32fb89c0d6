import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gunzipSync, gzipSync } from 'node:zlib';
import { encryptPgp } from '@millrace/crypto';
import { generateSampleData, type SampleFacts, type SampleSizes } from '@millrace/dev-stack';
import { parseCsv } from './csv.js';
import { ownKeys } from './pgp-keys.js';

export interface SampleFile {
  readonly name: string;
  readonly content: Buffer;
}

/** A row of the customers' file that can be imported. */
export interface SampleCustomer {
  readonly id: string;
  /** Undefined: the file has a null word there. */
  readonly email: string | undefined;
  readonly points: number;
}

export interface Sample {
  readonly facts: SampleFacts;
  /** `customers.csv.gz.pgp`, `orders.csv.gz`, `order-lines.txt`. */
  readonly files: readonly SampleFile[];
  /** In file order; a customer with two rows stands here twice. */
  readonly customerRows: readonly SampleCustomer[];
}

/** The generated customers, orders and order lines, the customers gzipped and encrypted for `ownKeys`. */
export async function makeSample(sizes: SampleSizes): Promise<Sample> {
  const directory = mkdtempSync(path.join(tmpdir(), 'millrace-e2e-sample-'));
  try {
    const facts = await generateSampleData(directory, sizes);
    const read = (name: string): Buffer => readFileSync(path.join(directory, name));
    const customers = read('customers.csv');
    const files = [
      { name: 'customers.csv.gz.pgp', content: await encrypt(gzipSync(customers)) },
      { name: 'orders.csv.gz', content: read('orders.csv.gz') },
      { name: 'order-lines.txt', content: read('order-lines.txt') },
    ];
    return { facts, files, customerRows: goodRows(customers.toString()) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

export async function encrypt(content: Buffer, recipient: string = ownKeys.publicKey): Promise<Buffer> {
  return await buffer(encryptPgp(Readable.from([content]), { recipients: [recipient] }));
}

/** The orders as they stand in the file. */
export function ordersOf(sample: Sample): readonly string[][] {
  const file = sample.files.find(({ name }) => name === 'orders.csv.gz');
  if (file === undefined) throw new Error('the sample has no orders');
  return parseCsv(gunzipSync(file.content).toString()).slice(1);
}

const [idColumn, emailColumn, pointsColumn, columns] = [0, 1, 11, 13];

function goodRows(text: string): SampleCustomer[] {
  return parseCsv(text, ';')
    .slice(1)
    .filter((row) => row.length === columns && /^\d*$/.test(row[pointsColumn] ?? ''))
    .map((row) => {
      const email = row[emailColumn] ?? '';
      return {
        id: row[idColumn] ?? '',
        email: email === 'NULL' ? undefined : email.toLowerCase(),
        points: Number(row[pointsColumn]),
      };
    });
}
