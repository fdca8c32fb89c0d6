import { median, round, type Bench, type Sample } from './bench.js';
import { emptyStore } from './bench-stack.js';
import { runWholeImport, upload, withImportSetting } from './import-setting.js';
import { peopleFile } from './people-file.js';

/** What may be resident at most, whatever the size of the file, and by how much N rows may exceed a tenth of them. */
const goals = { peakRssMiB: 300, ratio: 1.15 } as const;

/** The peak of resident memory for N rows against that for a tenth of them, each in an importer process of its own. */
export const importMemory: Bench = {
  about: 'resident memory of an importer for N rows, against a tenth of them',
  async run(options) {
    const { rows, runs, say } = options;
    const few = Math.ceil(rows / 10);
    const files = new Map([
      [rows, await peopleFile(rows)],
      [few, await peopleFile(few)],
    ]);
    return withImportSetting(options, async (setting) => {
      const { services, database } = setting.bench;
      for (const [count, file] of files) await upload(setting, `people-${count}.csv`, file);
      const peakOf = async (count: number): Promise<Required<Sample>> => {
        await emptyStore(database);
        // What an earlier run left in the heap would count for this one.
        await services.restart('importer');
        const { seconds, peakRssMiB = 0 } = await runWholeImport(
          setting,
          { name: `people-${count}.csv` },
          'created',
          count,
        );
        say(`${count} rows: ${peakRssMiB.toFixed(0)} MiB, ${seconds.toFixed(2)} s`);
        return { seconds, peakRssMiB };
      };
      const samples: { readonly all: Required<Sample>; readonly tenth: Required<Sample> }[] = [];
      for (let run = 0; run < runs; run += 1) samples.push({ tenth: await peakOf(few), all: await peakOf(rows) });
      const seconds = median(samples.map(({ all }) => all.seconds));
      const ratio = median(samples.map(({ all, tenth }) => all.peakRssMiB / tenth.peakRssMiB));
      const peak = Math.max(...samples.map(({ all }) => all.peakRssMiB));
      return {
        bench: 'import-memory',
        rows,
        oursSeconds: round(seconds, 3),
        floorSeconds: round(median(samples.map(({ tenth }) => tenth.seconds)), 3),
        ratio: round(ratio, 3),
        rowsPerSecond: Math.round(rows / seconds),
        peakRssMiB: Math.round(peak),
        peakRssMiBOfTenth: Math.round(median(samples.map(({ tenth }) => tenth.peakRssMiB))),
        withinGoals: ratio <= goals.ratio && peak < goals.peakRssMiB,
      };
    });
  },
};
