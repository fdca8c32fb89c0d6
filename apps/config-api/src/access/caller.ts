import { createHash, timingSafeEqual } from 'node:crypto';
import { InputError, type Scope } from '@millrace/domain';

/** Whoever sent a request: the holder of an API key. */
export interface Caller {
  /** Undefined for the bootstrap key, which stands in no table. */
  readonly keyId: string | undefined;
  readonly name: string;
  /** Null: good for every workspace. */
  readonly workspaceId: number | null;
  readonly scopes: readonly Scope[];
}

export const keyPattern = /^Bearer +(\S+)$/i;

/**
 * SHA-256, lower-case hexadecimal. Keys are 256 random bits, so there is no dictionary to try: a slow password hash would add
 * nothing but load on every request.
 */
export function hashKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

export function sameHash(left: string, right: string): boolean {
  return timingSafeEqual(Buffer.from(left, 'hex'), Buffer.from(right, 'hex'));
}

/** `platform` may do everything everywhere; `admin` everything in its workspace, which excludes making workspaces. */
export function allows(caller: Caller, scope: Scope): boolean {
  if (caller.scopes.includes('platform')) return true;
  if (scope !== 'platform' && caller.scopes.includes('admin')) return true;
  return caller.scopes.includes(scope);
}

/**
 * Which scopes `caller` may hand out in a new key: never more than its own.
 * @throws InputError `key-scope` naming the first scope that is too much.
 */
export function checkGrant(caller: Caller, scopes: readonly Scope[], workspaceId: number | null): void {
  if (workspaceId !== null && scopes.includes('platform')) {
    throw new InputError(
      'key-scope',
      'a key of one workspace cannot have the scope "platform": leave out `workspace` for a platform key',
      {
        at: 'scopes',
      },
    );
  }
  const excess = scopes.find((scope) => !allows(caller, scope));
  if (excess !== undefined) {
    throw new InputError('key-scope', `this key may not hand out the scope "${excess}": it does not have it itself`, {
      at: 'scopes',
    });
  }
}
