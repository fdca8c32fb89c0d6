import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { generateSampleData, type SampleFacts } from './generate.js';

const sizes = { customers: 2000, orders: 3000, linesPerOrder: 2.5, seed: 7 };

describe('generateSampleData', () => {
  let directory: string;
  let facts: SampleFacts;
  const read = (name: string): Buffer => readFileSync(path.join(directory, name));

  beforeAll(async () => {
    directory = mkdtempSync(path.join(tmpdir(), 'millrace-sample-'));
    facts = await generateSampleData(directory, sizes);
  });
  afterAll(() => {
    rmSync(directory, { recursive: true });
  });

  it('writes the same bytes for the same seed and others for another', async () => {
    const digest = (): string =>
      createHash('sha256')
        .update(read('customers.csv'))
        .update(gunzipSync(read('orders.csv.gz')))
        .update(read('order-lines.txt'))
        .digest('hex');
    const first = digest();
    expect(await generateSampleData(directory, sizes)).toEqual(facts);
    expect(digest()).toBe(first);
    await generateSampleData(directory, { ...sizes, seed: 8 });
    expect(digest()).not.toBe(first);
    await generateSampleData(directory, sizes);
  });

  it('counts what it wrote', () => {
    const lines = read('order-lines.txt').toString().trimEnd().split('\r\n').slice(1);
    expect(lines).toHaveLength(facts.lines);
    expect(gunzipSync(read('orders.csv.gz')).toString().trimEnd().split('\n').slice(1)).toHaveLength(facts.orders);
    expect(facts).toMatchObject({ customers: 2000, orders: 3000, orphanOrders: 3 });
    expect(facts.lines / facts.orders).toBeGreaterThan(2);
  });

  it('has the ugliness of real files', () => {
    const customers = read('customers.csv').toString();
    expect(customers.startsWith('\uFEFFcustomer id;')).toBe(true);
    const oddities = [
      '"said ""call me back"", twice"',
      '"first line\nsecond line"',
      '\n0000001;',
      ';\\N;',
      'NULL',
      ';""',
      'Nguyễn',
      ';01067;',
      ';a lot;',
    ];
    expect(oddities.filter((oddity) => !customers.includes(oddity))).toEqual([]);
    expect(customers).toMatch(/[^\r]\n/);
    expect(customers).toMatch(/\r\n/);
    expect(facts.badCustomerRows).toBeGreaterThan(0);
    expect(facts.customerRows).toBeGreaterThan(facts.customers + facts.badCustomerRows);
  });
});
