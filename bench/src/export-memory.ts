import { median, round, type Bench, type Sample } from './bench.js';
import { emptyStore } from './bench-stack.js';
import { runWholeExport, withExportSetting, type ExportSetting } from './export-setting.js';
import { seedProfiles } from './seed-profiles.js';

/** What may be resident at most, whatever is exported, and by how much N rows may exceed a tenth of them. */
const goals = { peakRssMiB: 250, ratio: 1.15 } as const;

/** The peak of resident memory for N rows against that for a tenth of them, each in an exporter process of its own. */
export const exportMemory: Bench = {
  about: 'resident memory of an exporter for N rows, against a tenth of them',
  async run(options) {
    const { rows, runs, say } = options;
    const few = Math.ceil(rows / 10);
    return withExportSetting({ ...options, rows: few }, async (setting) => {
      const peaksOf = async (stored: ExportSetting, count: number): Promise<readonly Required<Sample>[]> => {
        const samples: Required<Sample>[] = [];
        for (let run = 0; run < runs; run += 1) {
          // What an earlier run left in the heap would count for this one.
          await setting.bench.services.restart('batch-exporter');
          const { seconds, peakRssMiB = 0 } = await runWholeExport(stored, count);
          say(`${count} rows: ${peakRssMiB.toFixed(0)} MiB, ${seconds.toFixed(2)} s`);
          samples.push({ seconds, peakRssMiB });
        }
        return samples;
      };
      const tenth = await peaksOf(setting, few);
      const { bench, workspace } = setting;
      await emptyStore(bench.database);
      say(`seeding ${rows} profiles`);
      const segmentId = await seedProfiles(bench.database, workspace, rows);
      const all = await peaksOf({ ...setting, segmentId }, rows);
      const peakOf = (samples: readonly Required<Sample>[]): number =>
        median(samples.map(({ peakRssMiB }) => peakRssMiB));
      const seconds = median(all.map((sample) => sample.seconds));
      const ratio = peakOf(all) / peakOf(tenth);
      const peak = Math.max(...all.map(({ peakRssMiB }) => peakRssMiB));
      return {
        bench: 'export-memory',
        rows,
        oursSeconds: round(seconds, 3),
        floorSeconds: round(median(tenth.map((sample) => sample.seconds)), 3),
        ratio: round(ratio, 3),
        rowsPerSecond: Math.round(rows / seconds),
        peakRssMiB: Math.round(peak),
        peakRssMiBOfTenth: Math.round(peakOf(tenth)),
        withinGoals: ratio <= goals.ratio && peak < goals.peakRssMiB,
      };
    });
  },
};
