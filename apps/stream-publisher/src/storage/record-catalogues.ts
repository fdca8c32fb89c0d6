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

/** What records of a goal say of segments and namespaces. */
export class StoredCatalogue implements RecordCatalogue {
  readonly #workspaceId: number;
  readonly #goalId: string;
  #segments: ReadonlyMap<string, SegmentFacts> = new Map();
  #namespaces: ReadonlyMap<number, string> = new Map();
  /** Looked for in vain. */
  readonly #gone = new Set<string | number>();

  constructor(workspaceId: number, goalId: string) {
    this.#workspaceId = workspaceId;
    this.#goalId = goalId;
  }

  segment(segmentId: string): SegmentFacts | undefined {
    return this.#segments.get(segmentId);
  }

  namespace(namespaceId: number): string | undefined {
    return this.#namespaces.get(namespaceId);
  }

  /** Reads it again if one of these is missing: made since it was read, or gone. */
  async learn(executor: Executor, segmentIds: Iterable<string>, namespaceIds: Iterable<number>): Promise<void> {
    const unknown = [
      ...[...segmentIds].filter((id) => !this.#segments.has(id)),
      ...[...namespaceIds].filter((id) => !this.#namespaces.has(id)),
    ].filter((id) => !this.#gone.has(id));
    if (unknown.length === 0) return;
    await this.read(executor);
    for (const id of unknown)
      if (typeof id === 'string' ? !this.#segments.has(id) : !this.#namespaces.has(id)) this.#gone.add(id);
  }

  /** As it is now. */
  async read(executor: Executor): Promise<void> {
    const segments = await executor.query<SegmentRow>(sql`
      SELECT s.id, s.name,
        trunc(date_part('epoch', s.created_at) * 1000) AS created_ms, trunc(date_part('epoch', s.updated_at) * 1000) AS updated_ms,
        trunc(date_part('epoch', m.created_at) * 1000) AS mapped_ms, trunc(date_part('epoch', m.updated_at) * 1000) AS mapping_updated_ms
      FROM profile.segment s
      LEFT JOIN publisher.mapped_segment m ON m.segment_id = s.id AND m.goal_id = ${this.#goalId}
      WHERE s.workspace_id = ${this.#workspaceId}`);
    const namespaces = await executor.query<{ id: number; code: string }>(
      sql`SELECT id, code FROM profile.identity_namespace WHERE workspace_id = ${this.#workspaceId}`,
    );
    this.#segments = new Map(segments.rows.map((row) => [row.id, toFacts(row)]));
    this.#namespaces = new Map(namespaces.rows.map((row) => [row.id, row.code]));
  }
}

/** What records of a goal say of segments and namespaces, as it is now. */
export async function loadRecordCatalogue(
  executor: Executor,
  workspaceId: number,
  goalId: string,
): Promise<StoredCatalogue> {
  const catalogue = new StoredCatalogue(workspaceId, goalId);
  await catalogue.read(executor);
  return catalogue;
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
