import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { format } from 'fast-csv';
import { alternate, round, type Bench, type Sample } from './bench.js';
import { peopleColumns } from './people-file.js';
import { runWholeExport, withExportSetting } from './export-setting.js';

/** What COPY cannot do: three steps for every row. */
const processors = [
  { kind: 'change-case', column: 'last_name', to: 'upper' },
  { kind: 'concatenate', columns: ['postal_code', 'city'], separator: ' ', into: 'place' },
  {
    kind: 'convert-value',
    column: 'opt_in',
    table: [
      { from: 'yes', to: '1' },
      { from: 'no', to: '0' },
    ],
  },
] as const;

/** The row path, files uncompressed, against nothing but fast-csv's formatter on rows that are in memory already. */
export const exportRows: Bench = {
  about: "a full export through three processors, against fast-csv's formatter alone",
  async run(options) {
    const { rows } = options;
    return withExportSetting(options, async (setting) => {
      const cpu: number[] = [];
      const ours = async (): Promise<Sample> => {
        const sample = await runWholeExport(setting, rows, {
          goal: { processors: [...processors], compression: 'none' },
        });
        cpu.push(sample.cpuSeconds);
        return sample;
      };
      const result = await alternate('export-rows', options, ours, () => formatAlone(rows));
      // A worker on one core does no more than this, however many cores the run had.
      return {
        ...result,
        rowsPerWorkerCpuSecond: Math.round(rows / Math.min(...cpu)),
        cpuSeconds: round(Math.min(...cpu), 2),
      };
    });
  },
};

async function formatAlone(rows: number): Promise<Sample> {
  const row = [...peopleColumns.map(([column]) => `${column} of, somebody`), 'id', 'place'];
  async function* source(): AsyncGenerator<string[]> {
    for (let index = 0; index < rows; index += 1) yield row;
  }
  const startedAt = performance.now();
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  await pipeline(source(), format({ headers: false }), nowhere);
  return { seconds: (performance.now() - startedAt) / 1000 };
}
