import { sql, type Database, type Executor } from '@millrace/database';
import { InputError, type SegmentDefinition } from '@millrace/domain';
import { dropLabels } from '../manage-goals/forget-goal.js';
import { createSegment, deleteSegment, updateSegment, type SegmentRecord } from '@millrace/profile-store';

/** Segments as people define them; their memberships are profile-store's, built in the background. */
export class ManageSegments {
  readonly #database: Database;
  readonly #onBuild: () => void;

  /** `onBuild`: called when a build may be waiting. */
  constructor(database: Database, onBuild: () => void) {
    this.#database = database;
    this.#onBuild = onBuild;
  }

  async create(workspaceId: number, definition: SegmentDefinition): Promise<SegmentRecord> {
    const segment = await createSegment(this.#database, workspaceId, definition);
    this.#onBuild();
    return segment;
  }

  async replace(workspaceId: number, id: string, definition: SegmentDefinition): Promise<SegmentRecord> {
    const segment = await updateSegment(this.#database, workspaceId, id, definition);
    this.#onBuild();
    return segment;
  }

  /** @throws InputError `segment-in-use-conflict` naming the goals that read it. */
  async delete(workspaceId: number, id: string): Promise<void> {
    await deleteSegment(this.#database, workspaceId, id, async (tx) => {
      const users = await goalsUsing(tx, workspaceId, id);
      if (users.length === 0) return await dropLabels(tx, workspaceId, id);
      throw new InputError(
        'segment-in-use-conflict',
        `the segment is used by ${users.map((name) => JSON.stringify(name)).join(', ')}: change or delete these goals first`,
      );
    });
  }
}

/** Names of the goals of any connection that export, show or stream a segment. */
async function goalsUsing(executor: Executor, workspaceId: number, segmentId: string): Promise<readonly string[]> {
  // A segment id is a uuid, so it cannot stand in a document by chance.
  const { rows } = await executor.query<{ name: string }>(sql`
    SELECT name FROM config.goal
    WHERE workspace_id = ${workspaceId} AND strpos(document::text, ${segmentId.toLowerCase()}) > 0 ORDER BY name`);
  return rows.map(({ name }) => name);
}
