import type { Goal } from '@millrace/domain';
import type { EntityManager, Repository } from 'typeorm';
import { goalEntity, type GoalRow } from './entities.js';

export class GoalStore {
  readonly #rows: Repository<GoalRow>;

  constructor(manager: EntityManager) {
    this.#rows = manager.getRepository(goalEntity);
  }

  /** In the user's order. */
  async list(connectionId: string): Promise<readonly GoalRow[]> {
    return this.#rows.find({ where: { connectionId }, order: { position: 'ASC', id: 'ASC' } });
  }

  async find(workspaceId: number, id: string): Promise<GoalRow | null> {
    return this.#rows.findOneBy({ workspaceId, id });
  }

  /** At the end of the order. The caller holds the connection's lock. */
  async insert(workspaceId: number, connectionId: string, document: Goal): Promise<GoalRow> {
    const last = await this.#rows.maximum('position', { connectionId });
    const { kind, name, active } = document;
    const inserted = await this.#rows.insert({
      workspaceId,
      connectionId,
      kind,
      name,
      active,
      position: (last ?? 0) + 1,
      document,
    });
    return this.#rows.findOneByOrFail({ id: inserted.identifiers[0]?.['id'] as string });
  }

  async update(id: string, document: Goal): Promise<GoalRow> {
    const { name, active } = document;
    await this.#rows.update({ id }, { name, active, document, updatedAt: new Date() });
    return this.#rows.findOneByOrFail({ id });
  }

  async delete(id: string): Promise<void> {
    await this.#rows.delete({ id });
  }

  /** `ids`: all goals of the connection, in the wanted order. The caller holds the connection's lock. */
  async reorder(connectionId: string, ids: readonly string[]): Promise<void> {
    for (const [index, id] of ids.entries()) await this.#rows.update({ id, connectionId }, { position: index + 1 });
  }
}
