import type { AlertRule } from '@millrace/domain';
import type { EntityManager, Repository } from 'typeorm';
import { alertRuleEntity, type AlertRuleRow } from './alert-entities.js';

export class AlertRuleStore {
  readonly #manager: EntityManager;
  readonly #rows: Repository<AlertRuleRow>;

  constructor(manager: EntityManager) {
    this.#manager = manager;
    this.#rows = manager.getRepository(alertRuleEntity);
  }

  /** An id before there is a row: sealing binds secrets to it. */
  async nextId(): Promise<string> {
    const rows = await this.#manager.query<{ id: string }[]>('SELECT uuidv7() AS id');
    return rows[0]!.id;
  }

  async list(connectionId: string): Promise<readonly AlertRuleRow[]> {
    return this.#rows.find({ where: { connectionId }, order: { name: 'ASC' } });
  }

  async find(connectionId: string, id: string): Promise<AlertRuleRow | null> {
    return this.#rows.findOneBy({ connectionId, id });
  }

  async lock(connectionId: string, id: string): Promise<AlertRuleRow | null> {
    return this.#rows.findOne({ where: { connectionId, id }, lock: { mode: 'pessimistic_write' } });
  }

  /** `document`: with sealed secrets. */
  async insert(
    owner: Pick<AlertRuleRow, 'workspaceId' | 'connectionId' | 'id'>,
    document: AlertRule,
  ): Promise<AlertRuleRow> {
    const { name, active } = document;
    await this.#rows.insert({ ...owner, name, active, document });
    return this.#rows.findOneByOrFail({ id: owner.id });
  }

  async update(id: string, document: AlertRule): Promise<AlertRuleRow> {
    const { name, active } = document;
    await this.#rows.update({ id }, { name, active, document, updatedAt: new Date() });
    return this.#rows.findOneByOrFail({ id });
  }

  async delete(id: string): Promise<void> {
    await this.#rows.delete({ id });
  }
}
