import type { Scope } from '@millrace/domain';
import type { EntityManager, Repository } from 'typeorm';
import { apiKeyEntity, type ApiKeyRow } from './entities.js';

export interface NewApiKey {
  readonly workspaceId: number | null;
  readonly name: string;
  readonly prefix: string;
  readonly keyHash: string;
  readonly scopes: readonly Scope[];
}

export class ApiKeyStore {
  readonly #rows: Repository<ApiKeyRow>;

  constructor(manager: EntityManager) {
    this.#rows = manager.getRepository(apiKeyEntity);
  }

  async insert(key: NewApiKey): Promise<ApiKeyRow> {
    const inserted = await this.#rows.insert({ ...key, scopes: [...key.scopes] });
    return this.#rows.findOneByOrFail({ id: inserted.identifiers[0]?.['id'] as string });
  }

  async findByHash(keyHash: string): Promise<ApiKeyRow | null> {
    return this.#rows.findOneBy({ keyHash });
  }

  /** Newest first. `undefined`: the keys of every workspace and the platform's. */
  async list(workspaceId: number | undefined): Promise<readonly ApiKeyRow[]> {
    return this.#rows.find({ ...(workspaceId === undefined ? {} : { where: { workspaceId } }), order: { id: 'DESC' } });
  }

  /** Whether there was such a key. `undefined` workspace: any key may go. */
  async delete(id: string, workspaceId: number | undefined): Promise<boolean> {
    const { affected } = await this.#rows.delete({ id, ...(workspaceId === undefined ? {} : { workspaceId }) });
    return affected === 1;
  }

  /** Notes that the key was used, at most once a minute. */
  async touch(id: string, lastUsedAt: Date | null, now: Date): Promise<void> {
    if (lastUsedAt !== null && now.getTime() - lastUsedAt.getTime() < 60_000) return;
    await this.#rows.update({ id }, { lastUsedAt: now });
  }
}
