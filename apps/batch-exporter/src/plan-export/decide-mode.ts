import type { ExportProfilesGoal } from '@millrace/domain';
import type { StorePosition } from './export-plan.js';

/** What was stored after the last delivered export of the goal. */
export interface Watermark extends Omit<StorePosition, 'lsn'> {
  readonly goalHash: string;
  /** Its snapshot shows transactions the database has not begun yet. */
  readonly ahead: boolean;
}

export type ModeDecision =
  { readonly mode: 'full'; readonly reason?: string } | { readonly mode: 'delta'; readonly since: string };

/**
 * A delta is only safe against a watermark of the same goal in the same history of the same database; in every other
 * case the export is full and says why.
 */
export function decideMode(
  requested: ExportProfilesGoal['mode'],
  goalHash: string,
  position: StorePosition,
  watermark: Watermark | undefined,
): ModeDecision {
  if (requested === 'full') return { mode: 'full' };
  if (watermark === undefined) return { mode: 'full', reason: 'no export of this goal has been delivered before' };
  if (watermark.goalHash !== goalHash) {
    return {
      mode: 'full',
      reason:
        'the columns, audiences, mode, conditions, consent, deduplication or target of the goal changed since the last export',
    };
  }
  if (watermark.systemIdentifier !== position.systemIdentifier) {
    return { mode: 'full', reason: 'the profile store is another database cluster than at the last export' };
  }
  if (watermark.timeline !== position.timeline) {
    return {
      mode: 'full',
      reason: 'the database was promoted or restored since the last export (its timeline differs)',
    };
  }
  if (watermark.epoch !== position.epoch) {
    return {
      mode: 'full',
      reason: 'the profile store was declared restored since the last export (its epoch differs)',
    };
  }
  if (watermark.ahead) {
    return {
      mode: 'full',
      reason: 'the last export saw transactions this database has not begun: it was restored from an earlier state',
    };
  }
  return { mode: 'delta', since: watermark.snapshot };
}
