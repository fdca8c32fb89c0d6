import { checkPgpKeys, checkSigningKey, openEndpoint, sealEndpoint } from '@millrace/crypto';
import type { Connection, GoalEndpoint, GoalKind } from '@millrace/domain';

/** The services that seal or open secrets, each with a 32-byte key of its own. */
export type SealingKeys = Readonly<
  Record<'config-api' | 'importer' | 'batch-exporter' | 'stream-publisher', Uint8Array>
>;

/** Which service runs goals of a kind, and so whose key seals their secrets. */
export const serviceOfGoal = {
  'import-groups': 'importer',
  'import-profiles': 'importer',
  'export-profiles': 'batch-exporter',
  stream: 'stream-publisher',
} as const satisfies Record<GoalKind, keyof SealingKeys>;

export interface SecretOwner {
  readonly workspaceId: number;
  readonly connectionId: string;
}

/** Seals the secrets of a connection for `config.connection`; everything else stays readable. */
export function sealConnection(connection: Connection, key: Uint8Array, owner: SecretOwner): Connection {
  return withEndpoint(connection, sealEndpoint(endpointOf(connection), key, owner));
}

/** @throws InputError `seal-broken` when the key is not the one it was sealed with. */
export function openConnection(sealed: Connection, key: Uint8Array, owner: SecretOwner): Connection {
  return withEndpoint(sealed, openEndpoint(endpointOf(sealed), key, owner));
}

/** The endpoint of a stored connection, its secrets sealed anew for the service that runs goals of this kind. */
export function endpointForGoal(
  sealed: Connection,
  kind: GoalKind,
  keys: SealingKeys,
  owner: SecretOwner,
): GoalEndpoint {
  const open = openEndpoint(endpointOf(sealed), keys['config-api'], owner);
  return sealEndpoint(open, keys[serviceOfGoal[kind]], owner);
}

/** @throws InputError naming the PGP field whose key is unusable, expired or locked by another passphrase. */
export async function checkSecrets(open: Connection): Promise<void> {
  if (open.kind === 's3' && open.pgp !== undefined) await checkPgpKeys(open.pgp);
}

/**
 * Whether the private key of a stored connection can sign today: one that has expired still opens old files, so it may be saved.
 * @throws InputError naming the PGP field
 */
export async function checkSigning(sealed: Connection, key: Uint8Array, owner: SecretOwner): Promise<void> {
  const { pgp } = openEndpoint(endpointOf(sealed), key, owner);
  if (pgp?.privateKey !== undefined) await checkSigningKey(pgp.privateKey, pgp.passphrase);
}

function endpointOf(connection: Connection): GoalEndpoint {
  const { region, endpoint, credentials } = connection;
  const pgp = connection.kind === 's3' ? connection.pgp : undefined;
  return {
    region,
    credentials,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(pgp === undefined ? {} : { pgp }),
  };
}

function withEndpoint(connection: Connection, { credentials, pgp }: GoalEndpoint): Connection {
  if (connection.kind === 'kinesis') return { ...connection, credentials };
  return { ...connection, credentials, ...(pgp === undefined ? {} : { pgp }) };
}
