import { randomBytes } from 'node:crypto';
import type { Executor } from '@millrace/database';
import { InputError, scope, workspace as workspaceSchema } from '@millrace/domain';
import { findWorkspace, listWorkspaces } from '@millrace/profile-store';
import { z } from 'zod';
import type { ConfigStorage } from '../storage/config-storage.js';
import type { ApiKeyRow } from '../storage/entities.js';
import { checkGrant, hashKey, type Caller } from './caller.js';

export const newApiKey = z
  .strictObject({
    name: z.string().min(1).max(200),
    workspace: workspaceSchema.shape.name.optional().describe('Absent: a platform key, good for every workspace'),
    scopes: z.array(scope).min(1),
  })
  .meta({ id: 'NewApiKey' });

export const apiKeyView = z
  .object({
    id: z.uuid(),
    name: z.string(),
    workspace: z.string().nullable(),
    scopes: z.array(scope),
    prefix: z.string().describe('How the key begins, to recognise it by'),
    createdAt: z.iso.datetime(),
    lastUsedAt: z.iso.datetime().nullable().describe('To the minute'),
  })
  .meta({ id: 'ApiKey' });
export type ApiKeyView = z.infer<typeof apiKeyView>;

export const createdApiKey = apiKeyView
  .extend({ key: z.string().describe('The key itself: shown now and never again') })
  .meta({ id: 'CreatedApiKey' });
export type CreatedApiKey = z.infer<typeof createdApiKey>;

/** Keys are made by keys: an `admin` hands out keys of its workspace, a platform key any. */
export class ManageApiKeys {
  readonly #storage: ConfigStorage;
  readonly #executor: Executor;

  constructor(storage: ConfigStorage, executor: Executor) {
    this.#storage = storage;
    this.#executor = executor;
  }

  /** @throws InputError `key-scope` for scopes the caller lacks, `workspace-not-found`. */
  async create(caller: Caller, request: z.infer<typeof newApiKey>): Promise<CreatedApiKey> {
    const workspaceId = await this.#workspaceOf(caller, request.workspace);
    checkGrant(caller, request.scopes, workspaceId);
    const secret = `mr_${randomBytes(32).toString('base64url')}`;
    const row = await this.#storage.read(({ apiKeys }) =>
      apiKeys.insert({
        workspaceId,
        name: request.name,
        prefix: secret.slice(0, 9),
        keyHash: hashKey(secret),
        scopes: [...new Set(request.scopes)],
      }),
    );
    return { ...viewOf(row, request.workspace ?? null), key: secret };
  }

  /** Those of the caller's workspace; all of them for a platform key. */
  async list(caller: Caller): Promise<readonly ApiKeyView[]> {
    const names = new Map((await listWorkspaces(this.#executor)).map(({ id, name }) => [id, name]));
    const rows = await this.#storage.read(({ apiKeys }) => apiKeys.list(caller.workspaceId ?? undefined));
    return rows.map((row) => viewOf(row, row.workspaceId === null ? null : (names.get(row.workspaceId) ?? null)));
  }

  /** The key is refused from now on. @throws InputError `api-key-not-found`. */
  async delete(caller: Caller, id: string): Promise<void> {
    const deleted = await this.#storage.read(({ apiKeys }) => apiKeys.delete(id, caller.workspaceId ?? undefined));
    if (!deleted) throw new InputError('api-key-not-found', 'there is no such API key');
  }

  async #workspaceOf(caller: Caller, name: string | undefined): Promise<number | null> {
    if (caller.workspaceId === null) return name === undefined ? null : (await findWorkspace(this.#executor, name)).id;
    const own = (await listWorkspaces(this.#executor)).find(({ id }) => id === caller.workspaceId);
    if (name !== undefined && name === own?.name) return own.id;
    throw new InputError(
      'key-workspace',
      `this key makes keys of its own workspace only: set workspace to "${own?.name ?? ''}"`,
      {
        at: 'workspace',
      },
    );
  }
}

function viewOf(row: ApiKeyRow, workspace: string | null): ApiKeyView {
  return {
    id: row.id,
    name: row.name,
    workspace,
    scopes: [...row.scopes],
    prefix: row.prefix,
    createdAt: row.createdAt.toISOString(),
    lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
  };
}
