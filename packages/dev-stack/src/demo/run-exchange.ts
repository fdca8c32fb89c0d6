import { setTimeout as delay } from 'node:timers/promises';
import type { StreamClient } from '../aws/stream-client.js';
import type { Steps } from '../cli/console.js';
import { StackError } from '../stack-error.js';
import { ApiError, type ApiClient } from './api-client.js';
import { prepareWorkspace, uploadFiles, type Surroundings } from './prepare-workspace.js';
import { readExports } from './read-back.js';
import type { Scenario } from './scenario.js';
import type { RunView, Statistics } from './wire.js';

/** Each figure read back from the store, the bucket and the stream, not from what was sent. */
export interface ExchangeResult {
  readonly profiles: number;
  readonly events: number;
  readonly eventLines: number;
  readonly exportedRows: number;
  readonly exportedFiles: readonly string[];
  readonly streamedRecords: number;
  readonly seconds: number;
}

export interface Exchange {
  readonly result: ExchangeResult;
  /** The run as it ended, with the counts of each goal. */
  readonly run: RunView;
}

/** The whole exchange once: files into the bucket, a run that imports and exports, changes on the stream, then everything counted. */
export async function runExchange(
  scenario: Scenario,
  around: Surroundings,
  steps: Steps,
  signal: AbortSignal,
): Promise<Exchange> {
  const begun = Date.now();
  const workspace = `/workspaces/${scenario.workspace}`;
  steps.next(`setting up the workspace "${scenario.workspace}"`);
  const { connectionId } = await prepareWorkspace(scenario, around);
  steps.next(`uploading to s3://${scenario.bucket}`);
  await uploadFiles(scenario, around.bucket);

  steps.next('importing, linking, segmenting, exporting');
  const started = await startRun(around.api, workspace, connectionId, steps, signal);
  const run = await follow(around.api, `${workspace}/runs/${started.id}`, steps, signal);

  steps.next('reading back from the store, the bucket and the stream');
  const files = await readExports(around.bucket, scenario.bucket);
  const exportedRows = files.reduce((rows, file) => rows + file.rows, 0);
  const streamedRecords = await readStream(around.stream, scenario.stream, exportedRows, steps, signal);
  const { profiles, events, eventLines } = await around.api.get<Statistics>(`${workspace}/statistics`);
  steps.done();
  const result = {
    profiles,
    events,
    eventLines,
    exportedRows,
    exportedFiles: files.map(({ key }) => `s3://${scenario.bucket}/${key}`),
    streamedRecords,
    seconds: Math.round((Date.now() - begun) / 100) / 10,
  };
  return { result, run };
}

// An interrupted start may have left a run under way, which the services have taken up again: it comes first.
async function startRun(
  api: ApiClient,
  workspace: string,
  connectionId: string,
  steps: Steps,
  signal: AbortSignal,
): Promise<RunView> {
  const path = `${workspace}/connections/${connectionId}/runs`;
  try {
    return await api.post<RunView>(path);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 409)) throw error;
    const { items } = await api.get<{ items: readonly RunView[] }>(
      `${workspace}/runs?connectionId=${connectionId}&limit=1`,
    );
    const [earlier] = items;
    if (earlier === undefined || isOver(earlier)) throw error;
    steps.next('finishing the run that an earlier start had begun');
    await follow(api, `${workspace}/runs/${earlier.id}`, steps, signal);
    steps.next('importing, linking, segmenting, exporting');
    return await api.post<RunView>(path);
  }
}

function isOver({ state }: RunView): boolean {
  return state === 'succeeded' || state === 'failed' || state === 'cancelled';
}

async function follow(api: ApiClient, path: string, steps: Steps, signal: AbortSignal): Promise<RunView> {
  for (;;) {
    const run = await api.get<RunView>(path);
    const active = run.goals?.find(({ state }) => state === 'running');
    if (active !== undefined)
      steps.detail = `${active.name ?? active.kind ?? ''} ${progressOf(active.progress)}`.trim();
    if (run.state === 'succeeded') return run;
    if (isOver(run)) {
      const reasons = (run.goals ?? []).flatMap(({ name, error }) =>
        error ? [`${name ?? 'goal'}: ${error.message}${error.at === undefined ? '' : ` (${error.at})`}`] : [],
      );
      throw new StackError(
        `the run ${run.state}${reasons.length > 0 ? `: ${reasons.join('; ')}` : ''}`,
        "the services' logs are in .dev/logs and, for the demo, .dev/demo/logs",
      );
    }
    await delay(150, undefined, { signal });
  }
}

function progressOf(progress: NonNullable<RunView['goals']>[number]['progress']): string {
  if (!progress) return '';
  const share =
    progress.total === undefined || progress.total === 0
      ? ''
      : ` (${Math.floor((100 * progress.done) / progress.total)} %)`;
  return `· ${progress.phase}: ${progress.done} ${progress.unit}${share}`;
}

const quietMs = 1200;
const streamLimitMs = 120_000;

// Delivery follows the commits by itself. Every exported profile is in a mapped segment, so at least that many
// profiles must show up; then the stream has to stay quiet for a while.
async function readStream(
  stream: StreamClient,
  name: string,
  atLeast: number,
  steps: Steps,
  signal: AbortSignal,
): Promise<number> {
  const deadline = Date.now() + streamLimitMs;
  let [records, changedAt] = [-1, Date.now()];
  for (;;) {
    let count = 0;
    for await (const _ of stream.readAll(name)) count += 1;
    if (count !== records) [records, changedAt] = [count, Date.now()];
    steps.detail = `${records} records on the stream`;
    if (records >= atLeast && Date.now() - changedAt >= quietMs) return records;
    if (Date.now() > deadline) {
      throw new StackError(
        `only ${records} records reached the stream within ${streamLimitMs / 1000} s, at least ${atLeast} were due`,
        'look into the log of stream-publisher',
      );
    }
    await delay(200, undefined, { signal });
  }
}
