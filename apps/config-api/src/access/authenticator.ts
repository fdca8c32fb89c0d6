import type { ConfigStorage } from '../storage/config-storage.js';
import { hashKey, keyPattern, sameHash, type Caller } from './caller.js';

/** Turns an `authorization` header into the holder of the key. */
export class Authenticator {
  readonly #storage: ConfigStorage;
  readonly #bootstrapHash: string | undefined;

  /** `bootstrapKey`: a platform key that stands in no table, to make the first real one with. */
  constructor(storage: ConfigStorage, bootstrapKey: string | undefined) {
    this.#storage = storage;
    this.#bootstrapHash = bootstrapKey === undefined ? undefined : hashKey(bootstrapKey);
  }

  /** Undefined: no key, or none we know. */
  async authenticate(authorization: string | undefined): Promise<Caller | undefined> {
    const key = keyPattern.exec(authorization ?? '')?.[1];
    if (key === undefined) return undefined;
    const hash = hashKey(key);
    if (this.#bootstrapHash !== undefined && sameHash(hash, this.#bootstrapHash)) {
      return { keyId: undefined, name: 'bootstrap', workspaceId: null, scopes: ['platform'] };
    }
    const row = await this.#storage.read(async ({ apiKeys }) => {
      const found = await apiKeys.findByHash(hash);
      if (found !== null) await apiKeys.touch(found.id, found.lastUsedAt, new Date());
      return found;
    });
    return row === null
      ? undefined
      : { keyId: row.id, name: row.name, workspaceId: row.workspaceId, scopes: row.scopes };
  }
}
