import type { Connection } from '@millrace/domain';
import type { EntityManager, Repository } from 'typeorm';
import { connectionEntity, type ConnectionRow } from './entities.js';

export class ConnectionStore {
  readonly #manager: EntityManager;
  readonly #rows: Repository<ConnectionRow>;

  constructor(manager: EntityManager) {
    this.#manager = manager;
    this.#rows = manager.getRepository(connectionEntity);
  }

  /** An id before there is a row: sealing binds secrets to it. */
  async nextId(): Promise<string> {
    const rows = await this.#manager.query<{ id: string }[]>('SELECT uuidv7() AS id');
    return rows[0]!.id;
  }

  async list(workspaceId: number): Promise<readonly ConnectionRow[]> {
    return this.#rows.find({ where: { workspaceId }, order: { name: 'ASC' } });
  }

  async find(workspaceId: number, id: string): Promise<ConnectionRow | null> {
    return this.#rows.findOneBy({ workspaceId, id });
  }

  /**
   * The same, locked until the transaction ends. Everything that changes a connection, its goals or opens a run
   * begins here, so that snapshots never mix two states.
   */
  async lock(workspaceId: number, id: string): Promise<ConnectionRow | null> {
    return this.#rows.findOne({ where: { workspaceId, id }, lock: { mode: 'pessimistic_write' } });
  }

  /** `document`: with sealed secrets. */
  async insert(workspaceId: number, id: string, document: Connection): Promise<ConnectionRow> {
    const { kind, name, active } = document;
    await this.#rows.insert({ id, workspaceId, kind, name, active, document });
    return this.#rows.findOneByOrFail({ id });
  }

  async update(id: string, document: Connection): Promise<ConnectionRow> {
    const { name, active } = document;
    await this.#rows.update({ id }, { name, active, document, updatedAt: new Date() });
    return this.#rows.findOneByOrFail({ id });
  }

  async delete(id: string): Promise<void> {
    await this.#rows.delete({ id });
  }
}
