import { sql } from '@millrace/database';
import { median, round, type Bench, type BenchResult } from './bench.js';
import { runExport, runWholeExport, withExportSetting, type ExportSetting } from './export-setting.js';

const changedShare = 0.01;

/** What a delta of 1 % costs beyond an empty one, as a share of a full export. */
export const exportDelta: Bench = {
  about: 'a delta of 1 % of the profiles, less an empty run, against the full export',
  async run(options): Promise<BenchResult> {
    const { rows, runs, say } = options;
    return withExportSetting(options, async (setting) => {
      const goalId = crypto.randomUUID();
      // An empty run writes a file too, with nothing but the header: what is left is the cost of the changes.
      const goal = { mode: 'delta', emptyResult: 'header-only' } as const;
      const full: number[] = [];
      const empty: number[] = [];
      const changed: number[] = [];
      let peak = 0;
      await runWholeExport(setting, rows, { goal, goalId });
      for (let run = 1; run <= runs; run += 1) {
        full.push((await runWholeExport(setting, rows)).seconds);
        empty.push((await runExport(setting, { goal, goalId })).seconds);
        const touched = await change(setting, rows);
        const delta = await runWholeExport(setting, touched, { goal, goalId });
        changed.push(delta.seconds);
        peak = Math.max(peak, delta.peakRssMiB ?? 0);
        const [fullRun, emptyRun, deltaRun] = [full, empty, changed].map((list) => (list.at(-1) ?? 0).toFixed(3));
        say(`run ${run} of ${runs}: full ${fullRun} s, empty ${emptyRun} s, ${touched} changed ${deltaRun} s`);
      }
      const beyond = median(changed.map((seconds, index) => seconds - (empty[index] ?? 0)));
      return {
        bench: 'export-delta',
        rows,
        oursSeconds: round(beyond, 3),
        floorSeconds: round(median(full), 3),
        ratio: round(beyond / median(full), 4),
        rowsPerSecond: Math.round((rows * changedShare) / beyond),
        peakRssMiB: Math.round(peak),
        emptySeconds: round(median(empty), 3),
        deltaSeconds: round(median(changed), 3),
      };
    });
  },
};

/** A commit of its own, as writers leave it: other values, and the transaction that wrote them. Returns how many. */
async function change({ bench, workspace }: ExportSetting, rows: number): Promise<number> {
  const { rowCount } = await bench.database.query(sql`
    UPDATE profile.profile SET properties = properties || jsonb_build_object('telephone', clock_timestamp()::text),
      version = version + 1, changed_xid = pg_current_xact_id()
    WHERE id IN (SELECT id FROM profile.profile WHERE workspace_id = ${workspace.id} ORDER BY hashtext(id::text), id LIMIT ${Math.ceil(rows * changedShare)})`);
  await bench.database.query(sql`CHECKPOINT`);
  return rowCount;
}
