import { median, round, type Bench, type Sample } from './bench.js';
import { emptyStore } from './bench-stack.js';
import { runImport, upload, withImportSetting, type ImportSetting } from './import-setting.js';
import { linesPerOrder, linkedFiles, linkedGoal, ordersPerRoot } from './linked-files.js';

const names = ['customers', 'orders', 'lines'] as const;
const rowsPerRoot = 1 + ordersPerRoot + ordersPerRoot * linesPerOrder;

async function importSet(setting: ImportSetting, roots: number): Promise<Sample> {
  await emptyStore(setting.bench.database);
  const { counts, ...sample } = await runImport(setting, {
    name: `${roots}-customers.csv`,
    goal: linkedGoal(String(roots)),
  });
  if (counts['created'] !== roots || counts['events'] !== roots * ordersPerRoot)
    throw new Error(`${String(counts['created'])} profiles and ${String(counts['events'])} events of ${roots} roots`);
  return sample;
}

/** N root rows, 5 N orders and 10 N order lines, against the same with half as many: the cost must grow with the rows, not faster. */
export const importLinked: Bench = {
  about: 'customers with five orders of two lines each, --rows customers, against half as many',
  async run(options) {
    const { rows, runs, say } = options;
    const half = Math.max(1, rows >> 1);
    return withImportSetting(options, async (setting) => {
      for (const roots of [half, rows]) {
        const files = await linkedFiles(roots);
        for (const name of names) await upload(setting, `${roots}-${name}.csv`, files[name]);
      }
      const samples: { whole: Sample; half: Sample }[] = [];
      for (let run = 1; run <= runs; run += 1) {
        const sample = { half: await importSet(setting, half), whole: await importSet(setting, rows) };
        say(`run ${run} of ${runs}: ${sample.half.seconds.toFixed(2)} s, then ${sample.whole.seconds.toFixed(2)} s`);
        samples.push(sample);
      }
      const seconds = median(samples.map(({ whole }) => whole.seconds));
      return {
        bench: 'import-linked',
        rows: rows * rowsPerRoot,
        oursSeconds: round(seconds, 3),
        floorSeconds: round(median(samples.map((sample) => sample.half.seconds)), 3),
        ratio: round(median(samples.map((sample) => sample.whole.seconds / sample.half.seconds)), 3),
        rowsPerSecond: Math.round((rows * rowsPerRoot) / seconds),
        peakRssMiB: Math.round(Math.max(...samples.map(({ whole }) => whole.peakRssMiB ?? 0))),
      };
    });
  },
};
