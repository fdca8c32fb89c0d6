// Rows per second of readTable beside fast-csv on the same generated files, alternating, each in a process of its own.
// Build first; then: node bench/csv-read.mjs [--rows 300000] [--runs 3] [--json]
import { execFileSync } from 'node:child_process';
import { createReadStream, createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { csvDialect } from '@millrace/domain';
import { parse } from 'fast-csv';
import { readTable, rowFormatter } from '../dist/index.js';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '300000' },
    runs: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
    read: { type: 'string' },
    file: { type: 'string' },
  },
});

const readers = {
  ours: async (file) => {
    const table = await readTable(createReadStream(file), csvDialect.parse({}));
    let rows = 0;
    for await (const batch of table.batches) {
      for (const row of batch.rows) {
        if (row.kind === 'bad') throw new Error(row.message);
        rows += 1;
      }
    }
    return rows;
  },
  'fast-csv': async (file) => {
    let rows = -1;
    for await (const row of createReadStream(file).pipe(parse({ headers: false }))) if (row !== undefined) rows += 1;
    return rows;
  },
};

/** 12 columns, about 180 bytes a row, accents in some; `quoted`: all fields, or the comment of every twentieth row. */
async function write(file, rowCount, quotePolicy) {
  const format = rowFormatter(csvDialect.parse({ quotePolicy }));
  const first = ['Anna', 'Jörg', 'Peter', 'Zoë', 'Maria', 'John', 'Li', 'Olga'];
  const last = ['Schmidt', 'García', 'Nováková', 'Smith', 'Lee', 'Ivanova', "O'Neil", 'Brown'];
  const out = createWriteStream(file);
  out.write(
    format(['id', 'email', 'first', 'last', 'phone', 'city', 'street', 'birth', 'created', 'amount', 'tier', 'note']),
  );
  let text = '';
  for (let index = 0; index < rowCount; index++) {
    text += format([
      `c-${1_000_000 + index}`,
      `customer${index}@example-shop-${index % 100}.com`,
      first[index % 8],
      last[(index >> 3) % 8],
      `+4930${10_000_000 + index}`,
      'Berlin-Mitte',
      `Some Street ${index % 300}`,
      `1980-02-${10 + (index % 18)}`,
      '2026-01-01T10:11:12.000Z',
      (index / 7).toFixed(2),
      index % 7 === 0 ? null : 'gold',
      index % 20 === 0
        ? `said "hello", then\nleft ${index}`
        : `a note about this customer, number ${index}`.replace(',', ''),
    ]);
    if (text.length > 1 << 20) {
      if (!out.write(text)) await new Promise((resolve) => out.once('drain', resolve));
      text = '';
    }
  }
  await new Promise((resolve) => out.end(text, resolve));
}

if (values.read !== undefined) {
  const started = performance.now();
  const rows = await readers[values.read](values.file);
  const peakRssMiB = Math.round(process.resourceUsage().maxRSS / 1024);
  console.log(JSON.stringify({ rows, seconds: (performance.now() - started) / 1000, peakRssMiB }));
} else {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-csv-'));
  const measure = (read, file) =>
    JSON.parse(
      execFileSync(process.execPath, [fileURLToPath(import.meta.url), '--read', read, '--file', file]).toString(),
    );
  const median = (numbers) => numbers.sort((one, other) => one - other)[numbers.length >> 1];
  try {
    for (const quotePolicy of ['needed', 'all']) {
      const file = join(folder, `${quotePolicy}.csv`);
      await write(file, Number(values.rows), quotePolicy);
      const runs = Array.from({ length: Number(values.runs) }, () => ({
        ours: measure('ours', file),
        theirs: measure('fast-csv', file),
      }));
      const oursSeconds = median(runs.map(({ ours }) => ours.seconds));
      const theirSeconds = median(runs.map(({ theirs }) => theirs.seconds));
      const { rows, peakRssMiB } = runs[0].ours;
      if (runs.some(({ ours, theirs }) => ours.rows !== theirs.rows))
        throw new Error('the readers disagree on the number of rows');
      const result = {
        bench: `csv-read quotes ${quotePolicy}`,
        rows,
        rowsPerSecond: Math.round(rows / oursSeconds),
        fastCsvRowsPerSecond: Math.round(rows / theirSeconds),
        timesFaster: Number((theirSeconds / oursSeconds).toFixed(1)),
        peakRssMiB,
      };
      console.log(values.json ? JSON.stringify(result) : result);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
