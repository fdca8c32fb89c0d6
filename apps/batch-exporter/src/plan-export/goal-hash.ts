import type { ExportProfilesGoal } from '@millrace/domain';
import { type Catalogue, remembersDelivered } from '@millrace/mapping';
import { canonicalHash } from '@millrace/job-queue';

/** What of a goal's connection decides about its files. */
export interface ExportTerms {
  /** Undefined: the cloud's own. */
  readonly endpoint?: string | undefined;
  readonly consentObjectives: readonly string[];
}

/**
 * Hash of what makes earlier files of a goal incomplete when it changes: columns, processors, timeline, audiences, what a profile must have, consent
 * for goal and connection, deduplication, target, and mode as far as one has left out what another would hold. Not of how
 * rows are written down (dialect, compression, PGP, file name), nor of schedules, credentials or the goal's name.
 */
export function exportGoalHash(
  goal: ExportProfilesGoal,
  { endpoint, consentObjectives }: ExportTerms,
  catalogue: Catalogue,
): string {
  return canonicalHash({
    segmentId: goal.segmentId,
    columns: goal.columns,
    ...(goal.mandatory.length === 0 ? {} : { mandatory: [...goal.mandatory].sort() }),
    consentObjectives: [...goal.consentObjectives].sort(),
    ...(goal.furtherSegmentIds.length === 0
      ? {}
      : { audiences: goal.audiences, furtherSegmentIds: [...goal.furtherSegmentIds].sort() }),
    ...(consentObjectives.length === 0 ? {} : { ofConnection: [...consentObjectives].sort() }),
    ...(goal.requiredIdentity === undefined ? {} : { requiredIdentity: goal.requiredIdentity }),
    ...(goal.deduplicate === undefined ? {} : { deduplicate: goal.deduplicate }),
    ...(goal.processors.length === 0 ? {} : { processors: goal.processors }),
    ...(goal.timeline === undefined
      ? {}
      : { timeline: [goal.timeline.types ?? [], goal.timeline.from ?? '', goal.timeline.until ?? ''] }),
    target: [endpoint ?? '', goal.target.bucket, goal.target.directory],
    ...(goal.mode === 'membership-only' ? { mode: goal.mode } : {}),
    // Whoever exported everybody all along does not know whom.
    ...(remembersDelivered(goal) ? { remembers: true } : {}),
    segmentNames: exportedSegmentNames(goal, catalogue),
    ...exportedStages(goal, catalogue),
  });
}

/** Nor does a lifecycle stamp anybody whose stages are others now. */
function exportedStages({ columns }: ExportProfilesGoal, { lifecycles }: Catalogue): { readonly stages?: unknown } {
  const ids = columns.flatMap(({ source }) => (source.kind === 'lifecycle' ? [source.lifecycleId] : []));
  return ids.length === 0 ? {} : { stages: ids.map((id) => lifecycles.get(id)?.stages ?? []) };
}

/** A renamed segment changes what a segments column says of every member, and stamps none of them. */
function exportedSegmentNames(goal: ExportProfilesGoal, catalogue: Catalogue): readonly (readonly [string, string])[] {
  const ids = new Set(
    goal.columns.flatMap(({ source }) =>
      source.kind === 'segments' ? (source.segmentIds ?? [...catalogue.segments.keys()]) : [],
    ),
  );
  return [...ids].sort().map((id) => [id, catalogue.segments.get(id)?.name ?? '']);
}
