import { sql } from '@millrace/database';
import { startAnother, type AnotherProcess } from './another-process.js';
import { median, round, type Bench } from './bench.js';
import { peakRssMiB } from './bench-stack.js';
import { activateGoals, changeAll, settle, withStreamSetting, type StreamSetting } from './stream-setting.js';

/**
 * Two publishers share the lanes; one is killed with changes of every lane just committed. Ours is the time from the kill to the last
 * acknowledgement of all changes, the floor the same changes with both alive.
 */
export const streamHandover: Bench = {
  about: 'two publishers, one killed: from the kill to the last acknowledged change',
  async run({ rows, runs, say }) {
    return withStreamSetting(rows, say, async (setting) => {
      await activateGoals(setting, 1);
      const took: number[] = [];
      const undisturbed: number[] = [];
      for (let run = 1; run <= runs; run += 1) {
        const second = await startSecond(setting);
        undisturbed.push(await changesUntilSent(setting, () => undefined));
        took.push(await changesUntilSent(setting, () => second.kill()));
        say(`run ${run} of ${runs}: ${took.at(-1)!.toFixed(2)} s after the kill`);
      }
      const [ours, floor] = [median(took), median(undisturbed)];
      return {
        bench: 'stream-handover',
        rows,
        oursSeconds: round(ours, 2),
        floorSeconds: round(floor, 2),
        ratio: round(ours / floor, 2),
        rowsPerSecond: Math.round(rows / ours),
        peakRssMiB: Math.round(peakRssMiB(setting.bench.services.pid('stream-publisher'))),
        slowestSeconds: round(Math.max(...took), 2),
      };
    });
  },
};

/** Resolves when it holds its half of the lanes. */
async function startSecond({ bench }: StreamSetting): Promise<AnotherProcess> {
  const second = await startAnother(bench, 'stream-publisher');
  await Promise.race([second.ended, halfIsHeld(bench.database)]);
  return second;
}

async function halfIsHeld(database: StreamSetting['bench']['database']): Promise<void> {
  for (;;) {
    const { rows } = await database.query<{ owners: number }>(sql`
      SELECT count(*)::int AS owners FROM (
        SELECT owner FROM work.lease WHERE resource LIKE 'lane:%' AND expires_at > clock_timestamp() GROUP BY owner HAVING count(*) = 128
      ) AS half`);
    if (rows[0]?.owners === 2) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function changesUntilSent(setting: StreamSetting, disturb: () => void): Promise<number> {
  await settle(setting.bench);
  await setting.sink.forget();
  await changeAll(setting);
  disturb();
  const startedAt = performance.now();
  await owesNothing(setting);
  return (performance.now() - startedAt) / 1000;
}

/** Records sent twice count twice at the sink, so the publisher's own books are asked. */
async function owesNothing({ bench }: StreamSetting): Promise<void> {
  for (;;) {
    const { rows } = await bench.database.query<{ idle: boolean }>(
      sql`SELECT NOT EXISTS (SELECT FROM profile.outbox) AND NOT EXISTS (SELECT FROM publisher.delivery) AS idle`,
    );
    if (rows[0]?.idle) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
