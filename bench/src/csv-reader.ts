import { createReadStream } from 'node:fs';
import { readTable } from '@millrace/delimited';
import { csvDialect } from '@millrace/domain';
import { parseStream } from 'fast-csv';
import { peakRssMiB } from './bench-stack.js';

/** A process of its own per reading, so that memory is that reader's alone: `csv-reader.js <ours|fast-csv> <file>`. */
async function readOurs(file: string): Promise<number> {
  const table = await readTable(createReadStream(file), csvDialect.parse({}));
  let fields = 0;
  for await (const { rows } of table.batches)
    for (const row of rows) {
      if (row.kind === 'bad') throw new Error(`line ${row.line}: ${row.message}`);
      fields += row.fields.length;
    }
  return fields;
}

async function readFastCsv(file: string): Promise<number> {
  let fields = 0;
  const rows = parseStream(createReadStream(file), { headers: false, skipLines: 1 });
  rows.on('data', (row: string[]) => (fields += row.length));
  await new Promise((resolve, reject) => rows.on('end', resolve).on('error', reject));
  return fields;
}

const [reader, file = ''] = process.argv.slice(2);
const startedAt = performance.now();
const fields = await (reader === 'ours' ? readOurs(file) : readFastCsv(file));
const seconds = (performance.now() - startedAt) / 1000;
process.stdout.write(JSON.stringify({ fields, seconds, peakRssMiB: peakRssMiB(process.pid) }));
