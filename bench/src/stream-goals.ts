import { alternate, type BenchOptions, type BenchResult, type Sample } from './bench.js';
import { peakRssMiB } from './bench-stack.js';
import {
  activateGoals,
  changeAll,
  chooseGoals,
  settle,
  withStreamSetting,
  type StreamSetting,
} from './stream-setting.js';

/** The same changes sent for several goals, no two of them alike, against one goal. */
export async function streamGoals(options: BenchOptions): Promise<BenchResult> {
  const { rows, goals, say } = options;
  return withStreamSetting(rows, say, async (setting) => {
    say(`activating ${goals} goals, one after another`);
    await activateGoals(setting, goals);
    const result = await alternate(
      'stream-goals',
      options,
      () => publishFor(setting, goals),
      () => publishFor(setting, 1),
    );
    return { ...result, goals, recordsPerSecond: result.rowsPerSecond * goals };
  });
}

async function publishFor(setting: StreamSetting, goals: number): Promise<Sample> {
  const { bench, sink, profileIds } = setting;
  await chooseGoals(setting, goals);
  await settle(bench);
  await sink.forget();
  await changeAll(setting);
  const startedAt = performance.now();
  await sink.until(profileIds.length * goals);
  return {
    seconds: (performance.now() - startedAt) / 1000,
    peakRssMiB: peakRssMiB(bench.services.pid('stream-publisher')),
  };
}
