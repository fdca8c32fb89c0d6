import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { round, type Bench, type BenchOptions } from './bench.js';
import { peakRssMiB } from './bench-stack.js';
import type { LoadOrder, SentBatch } from './ingest-load.js';
import { arrivalDelays, percentiles } from './stream-delays.js';
import { activateGoals, settle, withStreamSetting, type StreamSetting } from './stream-setting.js';

const updatesPerSecond = 3000;
const updatesPerBatch = 100;
/** Scores of changes begin here; the seeded ones are below. */
const firstChange = 1_000_000;

/**
 * Batches of single-property updates over HTTP at a steady rate, from the beginning of the request to the acknowledged record;
 * `--rows`: updates. The floor is the time they should take: a ratio above 1 says that the rate was not kept.
 */
export const ingest: Bench = {
  about: '3,000 updates a second over HTTP in batches of 100: the delay from request to acknowledged record',
  async run({ rows, say }) {
    return withStreamSetting(Math.max(rows, 20_000), say, (setting) => measure(setting, rows, say), {
      services: ['config-api', 'stream-publisher'],
    });
  },
};

async function measure(setting: StreamSetting, updates: number, say: BenchOptions['say']) {
  const { bench, sink, profileIds } = setting;
  await activateGoals(setting, 1);
  const load = fork(fileURLToPath(new URL('./ingest-load.js', import.meta.url)), { stdio: 'inherit' });
  try {
    const order = (batches: number, begin: number): LoadOrder => ({
      url: `${bench.services.apiUrl}/api/v1/workspaces/bench/ingestion/batches`,
      apiKey: bench.services.apiKey,
      updatesPerSecond,
      updatesPerBatch,
      batches,
      firstPerson: 0,
      people: profileIds.length,
      firstChange: begin,
    });
    const send = async (asked: LoadOrder): Promise<readonly SentBatch[]> => {
      load.send(asked);
      const [sent] = (await once(load, 'message')) as [readonly SentBatch[]];
      return sent;
    };
    say('warming up');
    await send(order(60, firstChange));
    await settle(bench);
    await sink.forget();
    const batches = Math.max(1, Math.floor(updates / updatesPerBatch));
    say(`${batches} batches of ${updatesPerBatch} updates, ${updatesPerSecond} updates a second`);
    const startedAt = performance.now();
    const sent = await send(order(batches, 2 * firstChange));
    const seconds = (performance.now() - startedAt) / 1000;
    const begunAt = new Map(
      sent.flatMap(([change, count, atMs]) =>
        Array.from({ length: count }, (_, index) => [change + index, atMs] as const),
      ),
    );
    const delays = await arrivalDelays(sink, begunAt);
    const expected = (batches * updatesPerBatch) / updatesPerSecond;
    const answers = percentiles(sent.map(([, , , answerMs]) => answerMs));
    return {
      bench: 'ingest',
      rows: batches * updatesPerBatch,
      oursSeconds: round(seconds, 3),
      floorSeconds: round(expected, 3),
      ratio: round(seconds / expected, 3),
      rowsPerSecond: Math.round((batches * updatesPerBatch) / seconds),
      peakRssMiB: Math.round(peakRssMiB(bench.services.pid('config-api'))),
      batchesRefused: sent.filter(([, , , , ok]) => !ok).length,
      ...percentiles(delays),
      answerP50Ms: answers.p50Ms,
      answerP95Ms: answers.p95Ms,
      answerP99Ms: answers.p99Ms,
    };
  } finally {
    load.kill();
  }
}
