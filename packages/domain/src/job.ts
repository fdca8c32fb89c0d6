import { z } from 'zod';
import { deadLetterFilter } from './stream-state.js';

/** The Redis queues. A job says which committed row in `work` to look at, and nothing else. */
export const queueName = z.enum(['import-run', 'export-run', 'export-part', 'stream-lane', 'run-event']);
export type QueueName = z.infer<typeof queueName>;

/** `import-run`, `export-run`, `export-part`: a unit of work is ready. */
export const unitWakeUp = z.object({ version: z.literal(1), unitId: z.uuid() });
/** `stream-lane`: the outbox of a workspace has rows; `run-event`: workers have told something, or commands wait. */
export const plainWakeUp = z.object({ version: z.literal(1) });

export const wakeUps = {
  'import-run': unitWakeUp,
  'export-run': unitWakeUp,
  'export-part': unitWakeUp,
  'stream-lane': plainWakeUp,
  'run-event': plainWakeUp,
} as const satisfies Record<QueueName, z.ZodType>;

/** What a unit of `import-run` and `export-run` carries beside its run, goal and snapshot. */
export const goalUnitPayload = z.object({
  version: z.literal(1),
  /** An import: a person agreed that files whose sums were added under another configuration are added again. */
  repeatSums: z.boolean().default(false),
  /** An import: says what it would do, and does nothing. */
  dryRun: z.boolean().default(false),
});
/** One file of an export. */
export const exportPartPayload = z.object({ version: z.literal(1), part: z.int().min(1) });

export const commandBody = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('cancel-run'), runId: z.uuid() }),
  z.object({ kind: z.literal('activate-stream'), goalId: z.uuid(), snapshotId: z.uuid() }),
  z.object({ kind: z.literal('deactivate-stream'), goalId: z.uuid() }),
  /** The goal was deleted: nothing of it stays. */
  z.object({ kind: z.literal('remove-stream'), goalId: z.uuid() }),
  /** The export goal was deleted: what is remembered of its deliveries goes. */
  z.object({ kind: z.literal('forget-export'), goalId: z.uuid() }),
  /** Collects on, sends nothing. */
  z.object({ kind: z.literal('pause-stream'), goalId: z.uuid() }),
  z.object({ kind: z.literal('resume-stream'), goalId: z.uuid() }),
  /** Of one segment, or all that run. */
  z.object({ kind: z.literal('cancel-backfill'), goalId: z.uuid(), segmentId: z.uuid().optional() }),
  z.object({
    kind: z.literal('replay-dead-letters'),
    goalId: z.uuid(),
    filter: deadLetterFilter,
    /** By which it can be asked how far it is. */
    replayId: z.uuid().optional(),
  }),
]);
export type CommandBody = z.infer<typeof commandBody>;
