import { isReservedInRecords, prefixClash, reservedRecordNames, type StreamGoal } from '@millrace/domain';
import type { Catalogue } from '@millrace/mapping';
import { quoted, repeatedAt, type Complaints } from './complaints.js';

export function checkStream(goal: StreamGoal, catalogue: Catalogue, complaints: Complaints): void {
  goal.segmentIds.forEach((id, index) => {
    if (!catalogue.segments.has(id))
      complaints.add(['segmentIds', index], 'there is no such segment in this workspace');
  });
  goal.properties.forEach((name, index) => {
    if (!catalogue.properties.has(name))
      complaints.add(['properties', index], `the workspace has no property ${quoted(name)}`);
    if (isReservedInRecords(name)) {
      const reserved = Object.values(reservedRecordNames).map(quoted).join(', ');
      complaints.add(['properties', index], `cannot be streamed: records use ${reserved} themselves`);
    }
  });
  for (const index of repeatedAt(goal.segmentIds, (id) => id))
    complaints.add(['segmentIds', index], 'stands here twice');
  for (const index of repeatedAt(goal.properties, (name) => name))
    complaints.add(['properties', index], 'stands here twice');
  const clash = prefixClash(goal.properties);
  if (clash !== undefined) {
    complaints.add(
      ['properties', goal.properties.indexOf(clash[1])],
      `cannot stand beside ${quoted(clash[0])}: one would be nested in the other`,
    );
  }
  const { partitionKey } = goal;
  if (partitionKey.kind === 'identity' && !catalogue.namespaces.has(partitionKey.namespace)) {
    complaints.add(
      ['partitionKey', 'namespace'],
      `the workspace has no identity namespace ${quoted(partitionKey.namespace)}`,
    );
  }
}
