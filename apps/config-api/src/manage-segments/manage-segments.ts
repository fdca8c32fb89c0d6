import type { Database } from '@millrace/database';
import { InputError, type SegmentDefinition } from '@millrace/domain';
import { createSegment, deleteSegment, updateSegment, type SegmentRecord } from '@millrace/profile-store';
import type { ConfigStorage } from '../storage/config-storage.js';

/** Segments as people define them; their memberships are profile-store's, built in the background. */
export class ManageSegments {
  readonly #database: Database;
  readonly #storage: ConfigStorage;
  readonly #onBuild: () => void;

  /** `onBuild`: called when a build may be waiting. */
  constructor(database: Database, storage: ConfigStorage, onBuild: () => void) {
    this.#database = database;
    this.#storage = storage;
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
    const users = await this.#storage.read(({ goals }) => goals.usingSegment(workspaceId, id));
    if (users.length > 0) {
      const names = users.map(({ name }) => JSON.stringify(name)).join(', ');
      throw new InputError(
        'segment-in-use-conflict',
        `the segment is used by ${names}: change or delete these goals first`,
      );
    }
    await deleteSegment(this.#database, workspaceId, id);
  }
}
