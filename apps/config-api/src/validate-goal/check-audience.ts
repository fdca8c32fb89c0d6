import type { ExportProfilesGoal } from '@millrace/domain';
import type { Catalogue } from '@millrace/mapping';
import { quoted, repeatedAt, type Complaints } from './complaints.js';

/** The segments of an export, and that their files can be told apart. */
export function checkAudiences(goal: ExportProfilesGoal, catalogue: Catalogue, complaints: Complaints): void {
  if (!catalogue.segments.has(goal.segmentId))
    complaints.add(['segmentId'], 'there is no such segment in this workspace');
  goal.furtherSegmentIds.forEach((id, index) => {
    if (!catalogue.segments.has(id))
      complaints.add(['furtherSegmentIds', index], 'there is no such segment in this workspace');
  });
  for (const index of repeatedAt([goal.segmentId, ...goal.furtherSegmentIds], (id) => id))
    complaints.add(['furtherSegmentIds', index - 1], 'stands here twice');
  const apart = /%SEGMENT_(ID|NAME)%/.test(`${goal.target.directory}/${goal.fileName}`);
  if (goal.audiences === 'file-per-audience' && goal.furtherSegmentIds.length > 0 && !apart)
    complaints.add(['fileName'], 'needs %SEGMENT_NAME% or %SEGMENT_ID%, or files of two audiences have one name');
}

/** What decides who of an audience is in the files: identities, keys and tombstones. */
export function checkWho(goal: ExportProfilesGoal, catalogue: Catalogue, complaints: Complaints): void {
  const { requiredIdentity, deduplicate, tombstones, columns } = goal;
  if (requiredIdentity !== undefined && !catalogue.namespaces.has(requiredIdentity))
    complaints.add(['requiredIdentity'], `the workspace has no identity namespace ${quoted(requiredIdentity)}`);
  if (deduplicate?.by === 'namespace' && !catalogue.namespaces.has(deduplicate.namespace))
    complaints.add(
      ['deduplicate', 'namespace'],
      `the workspace has no identity namespace ${quoted(deduplicate.namespace)}`,
    );
  if (deduplicate?.by === 'properties') {
    deduplicate.properties.forEach((name, index) => {
      if (!catalogue.properties.has(name))
        complaints.add(['deduplicate', 'properties', index], `the workspace has no property ${quoted(name)}`);
    });
    for (const index of repeatedAt(deduplicate.properties, (name) => name))
      complaints.add(['deduplicate', 'properties', index], 'stands here twice');
  }
  const has = (kind: string): boolean => columns.some(({ source }) => source.kind === kind);
  const keyed = columns.some(
    ({ source }) =>
      deduplicate?.by === 'properties' &&
      source.kind === 'property' &&
      deduplicate.properties.includes(source.property),
  );
  if (tombstones && (!(has('profile-id') || has('identity') || keyed) || !has('membership-status')))
    complaints.add(
      ['tombstones'],
      'needs a column of the kind "membership-status" and one that says who it is, of the kind "profile-id" or "identity": a tombstone has nothing else to say',
    );
}
