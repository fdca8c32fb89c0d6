import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { alternate, type Bench, type Sample } from './bench.js';
import { peopleColumns, peopleFile } from './people-file.js';

/** Every row of the file as an array of its fields, none kept. */
async function read(reader: 'ours' | 'fast-csv', file: string, rows: number): Promise<Sample> {
  const script = fileURLToPath(new URL('./csv-reader.js', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, reader, file]);
  const { fields, ...sample } = JSON.parse(stdout) as Required<Sample> & { fields: number };
  if (fields !== rows * (peopleColumns.length + 1)) throw new Error(`${reader} read ${fields} fields`);
  return sample;
}

/** The reader of the importer, with every guard it always has, against fast-csv. The ratio is of seconds: 0.2 is five times as fast. */
export const csvRead: Bench = {
  about: 'reading a CSV file row by row, against fast-csv',
  async run(options) {
    const { rows, say } = options;
    const file = await peopleFile(rows);
    const few = await read('ours', await peopleFile(Math.ceil(rows / 10)), Math.ceil(rows / 10));
    say(`a tenth of the rows: ${few.peakRssMiB?.toFixed(0)} MiB`);
    const result = await alternate(
      'csv-read',
      options,
      () => read('ours', file, rows),
      () => read('fast-csv', file, rows),
    );
    return { ...result, peakRssMiBOfATenth: Math.round(few.peakRssMiB ?? 0) };
  },
};
