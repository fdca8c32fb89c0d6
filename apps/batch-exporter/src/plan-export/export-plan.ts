import { z } from 'zod';

/** A place in the history of one database: what a watermark is compared with. */
export const storePosition = z.object({
  /** `pg_snapshot` as text: which transactions were visible. */
  snapshot: z.string(),
  /** WAL position at or after everything that snapshot shows. */
  lsn: z.string(),
  systemIdentifier: z.string(),
  timeline: z.int(),
  epoch: z.int(),
});
export type StorePosition = z.infer<typeof storePosition>;

export const planCounts = z.object({
  /** Realized in the segment; of audiences with files of their own, the sum. */
  members: z.int(),
  /** Delta: profiles with a change the goal reads, eligible or not. */
  touched: z.int().optional(),
  /** The eligible ones of these or, in full, of the members; a full export that withholds nobody counts what it writes. */
  due: z.int().optional(),
  /** Due, but for what the goal asks of them. */
  withheld: z.int().optional(),
  /** These by reason. */
  withheldBy: z.record(z.string(), z.int()).optional(),
});
export type PlanCounts = z.infer<typeof planCounts>;

/** Fixed once, before anything is written; every part and every second attempt follows it. */
export const exportPlan = z.object({
  version: z.literal(1),
  mode: z.enum(['full', 'delta']),
  /** Why a delta goal runs in full. */
  reason: z.string().optional(),
  /** The watermark a delta counts from. */
  since: z.string().optional(),
  /** `lookup`: few rows of many, by index; `scan`: by reading the tables. */
  access: z.enum(['scan', 'lookup']),
  position: storePosition,
  plannedAt: z.iso.datetime(),
  goalHash: z.string(),
  counts: planCounts,
  /** Rows of each file, the last but it; then who is in which file is in exporter.selected. */
  splitRows: z.int().optional(),
  /** Where each audience has files of its own: these, one audience after the other; `files` is their sum. */
  audiences: z
    .array(z.object({ segmentId: z.string(), files: z.int().min(0), splitRows: z.int().optional() }))
    .optional(),
  /** 0: nothing is due and nothing is written. */
  files: z.int().min(0),
});
export type ExportPlan = z.infer<typeof exportPlan>;

/** Rows to expect, for a progress bar: exact for a delta, at most this many in full. */
export function expectedRows(plan: ExportPlan): number {
  return plan.counts.due ?? plan.counts.members;
}
