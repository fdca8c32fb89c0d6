import { InputError, type AwsCredentials, type Connection, type PgpKeys } from '@millrace/domain';
import type { ConnectionChange } from './connection-views.js';

/**
 * The connection after a PATCH, secrets opened on both sides. What the change leaves out stays; null removes.
 * @throws InputError `credentials-incomplete` when a new access key id comes without its secret, `pgp-unsupported` for PGP on a stream.
 */
export function changeConnection(current: Connection, change: ConnectionChange): Connection {
  const { credentials, pgp, endpoint, ...plain } = change;
  const changed = {
    ...current,
    ...defined(plain),
    credentials: credentials === undefined ? current.credentials : changeCredentials(current.credentials, credentials),
  };
  if (endpoint === null) delete changed.endpoint;
  else if (endpoint !== undefined) changed.endpoint = endpoint;
  if (changed.kind !== 's3' && change.guardrails !== undefined)
    throw new InputError('guardrails-unsupported', 'guardrails belong to connections that carry files', {
      at: 'guardrails',
    });
  if (pgp === undefined) return changed;
  if (changed.kind !== 's3')
    throw new InputError('pgp-unsupported', 'PGP keys belong to connections that carry files', { at: 'pgp' });
  const { pgp: currentPgp, ...rest } = changed;
  return pgp === null ? rest : { ...rest, pgp: changePgp(currentPgp, pgp) };
}

function changeCredentials(
  current: AwsCredentials,
  change: NonNullable<ConnectionChange['credentials']>,
): AwsCredentials {
  if (change.kind !== 'access-key') return change;
  if (change.secretAccessKey !== undefined) return { ...change, secretAccessKey: change.secretAccessKey };
  if (current.kind === 'access-key' && current.accessKeyId === change.accessKeyId) return current;
  throw new InputError('credentials-incomplete', 'a new access key id needs its secret access key', {
    at: 'credentials.secretAccessKey',
  });
}

function changePgp(current: PgpKeys | undefined, change: NonNullable<ConnectionChange['pgp']>): PgpKeys {
  const privateKey = kept(current?.privateKey, change.privateKey);
  // A passphrase belongs to its key: neither survives the other's replacement.
  const oldPassphrase = change.privateKey === undefined ? current?.passphrase : undefined;
  const passphrase = kept(oldPassphrase, change.passphrase);
  return {
    ...(privateKey === undefined ? {} : { privateKey }),
    ...(passphrase === undefined || privateKey === undefined ? {} : { passphrase }),
    recipients: change.recipients ?? current?.recipients ?? [],
    verifiers: change.verifiers ?? current?.verifiers ?? [],
  };
}

function kept<T>(current: T | undefined, change: T | null | undefined): T | undefined {
  if (change === null) return undefined;
  return change ?? current;
}

function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
