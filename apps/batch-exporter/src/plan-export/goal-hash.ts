import type { ExportProfilesGoal, GoalEndpoint } from '@millrace/domain';
import type { Catalogue } from '@millrace/mapping';
import { canonicalHash } from '@millrace/job-queue';

/**
 * Hash of what makes earlier files of a goal incomplete when it changes: columns, segment, mandatory
 * properties, consent, target, and mode as far as one
 * has left out what another would hold. Not of how
 * rows are written down (dialect, compression, PGP, file name), nor of schedules, credentials or the goal's name.
 */
export function exportGoalHash(
  goal: ExportProfilesGoal,
  endpoint: Pick<GoalEndpoint, 'endpoint'>,
  catalogue: Catalogue,
): string {
  return canonicalHash({
    segmentId: goal.segmentId,
    columns: goal.columns,
    ...(goal.mandatory.length === 0 ? {} : { mandatory: [...goal.mandatory].sort() }),
    consentObjectives: [...goal.consentObjectives].sort(),
    target: [endpoint.endpoint ?? '', goal.target.bucket, goal.target.directory],
    ...(goal.mode === 'membership-only' ? { mode: goal.mode } : {}),
    segmentNames: exportedSegmentNames(goal, catalogue),
  });
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
