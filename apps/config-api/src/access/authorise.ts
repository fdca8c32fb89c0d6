import type { Executor } from '@millrace/database';
import { InputError, type Scope } from '@millrace/domain';
import { findWorkspace, type WorkspaceRecord } from '@millrace/profile-store';
import type { Access } from '../http/operation.js';
import type { Authenticator } from './authenticator.js';
import { allows, type Caller } from './caller.js';

export interface AccessRequest {
  readonly authorization: string | undefined;
  readonly access: Access;
  readonly also?: Scope | undefined;
  /** From the path, for routes inside a workspace. */
  readonly workspaceName: string | undefined;
}

export interface Admission {
  readonly caller?: Caller;
  readonly workspace?: WorkspaceRecord;
}

/**
 * Decides before anything else of the request is looked at, so that a stranger learns nothing: not which fields a route takes,
 * nor which workspaces exist.
 */
export class Authoriser {
  readonly #authenticator: Authenticator;
  readonly #executor: Executor;

  constructor(authenticator: Authenticator, executor: Executor) {
    this.#authenticator = authenticator;
    this.#executor = executor;
  }

  /** @throws InputError `unauthenticated`, `forbidden`; `workspace-not-found` for callers that may see every workspace. */
  async admit(request: AccessRequest): Promise<Admission> {
    if (request.access === 'public') return {};
    const caller = await this.#authenticator.authenticate(request.authorization);
    if (caller === undefined)
      throw new InputError('unauthenticated', 'send a valid API key as "authorization: Bearer <key>"');
    if (request.access !== 'any-key' && !allows(caller, request.access)) {
      throw new InputError('forbidden', `this API key lacks the scope "${request.access}"`);
    }
    if (request.also !== undefined && !allows(caller, request.also)) {
      throw new InputError('forbidden', `this API key lacks the scope "${request.also}", which is needed as well`);
    }
    if (request.workspaceName === undefined) return { caller };
    if (caller.workspaceId === null)
      return { caller, workspace: await findWorkspace(this.#executor, request.workspaceName) };
    const workspace = await findWorkspace(this.#executor, request.workspaceName).catch((error: unknown) => {
      if (error instanceof InputError) return undefined;
      throw error;
    });
    if (workspace?.id === caller.workspaceId) return { caller, workspace };
    throw new InputError('forbidden', 'this API key belongs to another workspace');
  }
}
