import { sql } from '@millrace/database';
import { round, type Bench } from './bench.js';
import { peakRssMiB } from './bench-stack.js';
import { steadyDelays, type Delays } from './stream-delays.js';
import {
  activateGoal,
  activateGoals,
  goalIdOf,
  settle,
  withStreamSetting,
  type StreamSetting,
} from './stream-setting.js';

const perSecond = 500;
const aloneMs = 15_000;

/**
 * The backfill of a second goal with `--rows` members while both goals get 500 changes a second. Ours is the delay (median) of those
 * changes during the backfill, the floor the delay of the same changes without one.
 */
export const streamBackfill: Bench = {
  about: 'the delay of 500 changes a second while a goal of N members is backfilled, and without',
  async run({ rows, say }) {
    return withStreamSetting(rows, say, async (setting) => {
      await activateGoals(setting, 1);
      await settle(setting.bench);
      say('500 changes a second, no backfill');
      await setting.sink.forget();
      const alone = await steadyDelays(setting, { perSecond, goOn: (elapsedMs) => elapsedMs < aloneMs });
      await settle(setting.bench);
      say(`500 changes a second, and the backfill of ${rows} members`);
      await setting.sink.forget();
      const { seconds, beside } = await backfillBeside(setting);
      return {
        bench: 'stream-backfill',
        rows,
        oursSeconds: round(beside.p50Ms / 1000, 3),
        floorSeconds: round(alone.p50Ms / 1000, 3),
        ratio: round(beside.p50Ms / alone.p50Ms, 2),
        rowsPerSecond: Math.round(rows / seconds),
        peakRssMiB: Math.round(peakRssMiB(setting.bench.services.pid('stream-publisher'))),
        backfillSeconds: round(seconds, 1),
        alone,
        beside,
      };
    });
  },
};

async function backfillBeside(setting: StreamSetting): Promise<{ seconds: number; beside: Delays }> {
  let done = false;
  const startedAt = performance.now();
  await activateGoal(setting, 1);
  const backfilled = backfillSent(setting).then(() => {
    done = true;
    return (performance.now() - startedAt) / 1000;
  });
  // Other profiles than before: what the backfill tells of a change made earlier must not pass for its arrival.
  const skip = (perSecond * aloneMs) / 1000;
  const beside = await steadyDelays(setting, { perSecond, skip, goOn: () => !done });
  return { seconds: await backfilled, beside };
}

/** Resolves when every member of the second goal was sent. */
async function backfillSent({ bench }: StreamSetting): Promise<void> {
  for (;;) {
    const { rows } = await bench.database.query<{ sent: boolean }>(sql`
      SELECT EXISTS (SELECT FROM publisher.backfill WHERE goal_id = ${goalIdOf(1)}::uuid AND state = 'done')
        AND NOT EXISTS (SELECT FROM publisher.delivery WHERE goal_id = ${goalIdOf(1)}::uuid AND priority = 1) AS sent`);
    if (rows[0]?.sent) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
