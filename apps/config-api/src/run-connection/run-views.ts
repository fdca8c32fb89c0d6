import { errorSummary, exportCounts, importCounts, progress, runState } from '@millrace/domain';
import { z } from 'zod';

export const runGoalState = z.enum(['waiting', 'queued', 'running', 'succeeded', 'failed', 'cancelled', 'not-run']);
export type RunGoalState = z.infer<typeof runGoalState>;

export const runNote = z.object({
  level: z.enum(['info', 'warn']),
  message: z.string(),
  at: z.string().optional().describe('What the note is about: a file, a line, a column'),
  time: z.iso.datetime(),
});
export type RunNote = z.infer<typeof runNote>;

const goalHead = {
  goalId: z.uuid(),
  name: z.string(),
  state: runGoalState.describe(
    '`waiting`: for the goals before it; `not-run`: an earlier goal failed or the run was cancelled',
  ),
};
const goalDetails = {
  ...goalHead,
  progress: progress.nullable(),
  notes: z.array(runNote),
  notesOmitted: z.int().describe('Notes beyond the first ones'),
  error: errorSummary.nullable(),
  startedAt: z.iso.datetime().nullable(),
  finishedAt: z.iso.datetime().nullable(),
};

export const runGoalView = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('import-groups'), ...goalDetails, counts: importCounts.loose() }),
  z.object({ kind: z.literal('import-profiles'), ...goalDetails, counts: importCounts.loose() }),
  z.object({ kind: z.literal('export-profiles'), ...goalDetails, counts: exportCounts.loose() }),
]);
export type RunGoalView = z.infer<typeof runGoalView>;

const runHead = {
  id: z.uuid(),
  connectionId: z.uuid(),
  connectionName: z.string().describe('As it was called when the run began'),
  state: runState,
  requestedBy: z.string().describe('Name of the API key'),
  repeatSums: z.boolean(),
  dryRun: z.boolean().describe('Counts what an import would do; nothing is applied'),
  cancelRequested: z.boolean(),
  createdAt: z.iso.datetime(),
  startedAt: z.iso.datetime().nullable(),
  finishedAt: z.iso.datetime().nullable(),
};

export const runSummary = z
  .object({
    ...runHead,
    goals: z.array(z.object({ kind: z.enum(['import-groups', 'import-profiles', 'export-profiles']), ...goalHead })),
  })
  .meta({ id: 'RunSummary' });
export type RunSummary = z.infer<typeof runSummary>;

export const runView = z
  .object({
    ...runHead,
    revision: z.int().describe('Raised by every change; the id of the server-sent events'),
    goals: z.array(runGoalView).describe('In the order they run'),
  })
  .meta({ id: 'Run' });
export type RunView = z.infer<typeof runView>;

/** How a run is to be done. */
export const runOptions = z
  .strictObject({
    repeatSums: z
      .boolean()
      .default(false)
      .describe('A yes to importing again what a `sum` has added under another configuration: it is added once more'),
    dryRun: z
      .boolean()
      .default(false)
      .describe(
        'Only the import goals, each as if it were run alone: files are read, matched and merged, all of it is counted and taken back',
      ),
  })
  .prefault({})
  .meta({ id: 'RunOptions' });
export type RunOptions = z.infer<typeof runOptions>;

export const runQuery = z.object({
  connectionId: z.uuid().optional().describe('Only runs of this connection'),
  state: runState.optional().describe('Only runs in this state'),
  before: z.uuid().optional().describe('`next` of the page before: older runs follow'),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});
export type RunQuery = z.infer<typeof runQuery>;

export const runPage = z.object({
  items: z.array(runSummary),
  next: z.uuid().nullable().describe('For `before`; null: the last page'),
});
export type RunPage = z.infer<typeof runPage>;

const finalStates: ReadonlySet<string> = new Set(['succeeded', 'failed', 'cancelled', 'not-run']);

/** Whether a run or a goal of it is over. */
export function isOver(state: RunView['state'] | RunGoalState): boolean {
  return finalStates.has(state);
}

/** Counts as a worker told them, on top of zeros for what it has not counted yet. */
export function countsOf(kind: RunGoalView['kind'], told: Readonly<Record<string, unknown>>): RunGoalView['counts'] {
  return { ...(kind === 'export-profiles' ? exportCounts.parse({}) : importCounts.parse({})), ...told };
}
