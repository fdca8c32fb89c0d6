import { availableParallelism } from 'node:os';
import { startAnother } from './another-process.js';
import { alternate, round, type Bench } from './bench.js';
import { runWholeExport, withExportSetting, type ExportSample, type ExportSetting } from './export-setting.js';

/** Of which PostgreSQL, the S3 stand-in and two exporters each can have one. */
const leastCores = 4;

/** An export of four files by two exporter processes, two files each at a time, against the same by one of them. */
export const exportProcesses: Bench = {
  about: 'a full export of four files by two exporter processes, against one: from four cores on',
  async run(options) {
    const cores = availableParallelism();
    if (cores < leastCores) {
      const skipped = `the speed-up of a second exporter shows on ${leastCores} cores or more, and here are ${cores}: not measured`;
      options.say(`NOTICE: ${skipped}`);
      return { bench: 'export-processes', rows: options.rows, cores, skipped };
    }
    const parts = Math.max(4, options.parts);
    return withExportSetting(options, async (setting) => {
      const once = async (): Promise<ExportSample> => runWholeExport(setting, options.rows, { goal: { parts } });
      const result = await alternate('export-processes', options, async () => withSecond(setting, once), once);
      return { ...result, parts, cores, speedUp: round(1 / result.ratio, 2) };
    });
  },
};

async function withSecond({ bench }: ExportSetting, once: () => Promise<ExportSample>): Promise<ExportSample> {
  const second = await startAnother(bench, 'batch-exporter');
  try {
    const sample = await Promise.race([second.ended, once()]);
    const files = (sample.counts['files'] as readonly object[]).length;
    const written = second.said('export file stored');
    if (written === 0 || written === files) throw new Error(`one process wrote all ${files} files: take more rows`);
    return sample;
  } finally {
    second.kill();
  }
}
