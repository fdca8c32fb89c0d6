import { sql, type Executor } from '@millrace/database';
import type { RecordCatalogue, SegmentFacts } from '../build-record/record-template.js';

interface SegmentRow {
  readonly id: string;
  readonly name: string;
  readonly created_ms: number;
  readonly updated_ms: number;
  readonly mapped_ms: number | null;
  readonly mapping_updated_ms: number | null;
}

/** What records of a goal say of segments and namespaces, as it is now. */
export async function loadRecordCatalogue(
  executor: Executor,
  workspaceId: number,
  goalId: string,
): Promise<RecordCatalogue> {
  const segments = await executor.query<SegmentRow>(sql`
    SELECT s.id, s.name,
      trunc(date_part('epoch', s.created_at) * 1000) AS created_ms, trunc(date_part('epoch', s.updated_at) * 1000) AS updated_ms,
      trunc(date_part('epoch', m.created_at) * 1000) AS mapped_ms, trunc(date_part('epoch', m.updated_at) * 1000) AS mapping_updated_ms
    FROM profile.segment s
    LEFT JOIN publisher.mapped_segment m ON m.segment_id = s.id AND m.goal_id = ${goalId}
    WHERE s.workspace_id = ${workspaceId}`);
  const namespaces = await executor.query<{ id: number; code: string }>(
    sql`SELECT id, code FROM profile.identity_namespace WHERE workspace_id = ${workspaceId}`,
  );
  const facts = new Map(segments.rows.map((row) => [row.id, toFacts(row)]));
  const codes = new Map(namespaces.rows.map((row) => [row.id, row.code]));
  return { segment: (segmentId) => facts.get(segmentId), namespace: (namespaceId) => codes.get(namespaceId) };
}

function toFacts(row: SegmentRow): SegmentFacts {
  return {
    name: row.name,
    createdAtMs: row.created_ms,
    updatedAtMs: row.updated_ms,
    mapping:
      row.mapped_ms === null || row.mapping_updated_ms === null
        ? undefined
        : { createdAtMs: row.mapped_ms, updatedAtMs: row.mapping_updated_ms },
  };
}
