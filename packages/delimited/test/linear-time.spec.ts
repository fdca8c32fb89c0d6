import { Readable } from 'node:stream';
import { readTable } from '../src/index.js';
import { dialectOf } from './read-all.js';

/** Files that make careless readers look at the same text again and again. */
const hostile: Readonly<Record<string, (bytes: number) => string>> = {
  'a quote left open at the start': (bytes) => `"open,1\n${'1,""\n'.repeat(bytes / 5)}`,
  'a quote left open in a file without others': (bytes) => `"open,1\n${'1,2\n'.repeat(bytes / 4)}`,
  'a quote left open in every line': (bytes) => '1,"x\n'.repeat(bytes / 5),
  'fields that close and open a quote': (bytes) => 'a","\n'.repeat(bytes / 5),
  'quotes only': (bytes) => '"'.repeat(bytes),
  'pairs of quotes after an open one': (bytes) => `1,"${'""'.repeat(bytes / 2)}`,
  'one line without end': (bytes) => 'x'.repeat(bytes),
  'line breaks only': (bytes) => '\n'.repeat(bytes),
  'carriage returns only': (bytes) => '\r'.repeat(bytes),
  'empty quoted fields in one line': (bytes) => '"",'.repeat(bytes / 3),
  'stray quotes in every line': (bytes) => '"x"y,1\n'.repeat(bytes / 7),
  'odd runs of quotes': (bytes) => '"""\n'.repeat(bytes / 4),
  'half a record per line': (bytes) => '1,"\n",2,"\n'.repeat(bytes / 10),
  'undecodable bytes': (bytes) => '\u00ff'.repeat(bytes),
};

const fileBytes = 4_000_000;

describe('hostile files', () => {
  it.each(Object.entries(hostile))('are read in linear time and small steps: %s', async (_name, make) => {
    const file = Buffer.from(`a,b\n${make(fileBytes)}`, 'latin1');
    let isReading = true;
    let turns = 0;
    const countTurn = (): void => {
      turns += 1;
      if (isReading) setImmediate(countTurn);
    };
    setImmediate(countTurn);
    const before = process.cpuUsage();
    const table = await readTable(Readable.from([file]), dialectOf());
    let rows = 0;
    for await (const batch of table.batches) rows += batch.rows.length;
    isReading = false;
    const seconds = process.cpuUsage(before).user / 1e6;
    if (process.env['MILLRACE_PRINT_TIMES'] !== undefined) {
      process.stdout.write(`${_name}: ${seconds.toFixed(2)} s, ${rows} rows, ${turns} turns\n`);
    }
    // A quadratic reader needs minutes of processor time; a linear one does not need ten seconds on any machine.
    expect(seconds).toBeLessThan(10);
    expect(turns).toBeGreaterThanOrEqual(3);
  });
});

describe('a hostile header', () => {
  it.each([
    ['of 150,000 names', (column: number) => column.toString(36)],
    ['of 150,000 names, each twice', (column: number) => (column >> 1).toString(36)],
  ])('is read in linear time: %s', async (_name, nameOf) => {
    const header = Array.from({ length: 150_000 }, (_, column) => nameOf(column)).join(',');
    const before = process.cpuUsage();
    const table = await readTable(Readable.from([Buffer.from(`${header}\n${header}\n`)]), dialectOf());
    let rows = 0;
    for await (const batch of table.batches) rows += batch.rows.length;
    expect([table.columns, rows]).toEqual([150_000, 1]);
    expect(process.cpuUsage(before).user / 1e6).toBeLessThan(10);
  });
});
