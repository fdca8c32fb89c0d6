import type { GoalEndpoint } from '@millrace/domain';
import { open, seal, type SealContext } from './seal.js';

/** The place of an endpoint's secrets; the field is added for each. */
export type EndpointSealContext = Omit<SealContext, 'field'>;

/** Seals `credentials.secretAccessKey`, `pgp.privateKey` and `pgp.passphrase` where they stand, and nothing else. */
export function sealEndpoint(endpoint: GoalEndpoint, key: Uint8Array, context: EndpointSealContext): GoalEndpoint {
  return withSecrets(endpoint, (secret, field) => seal(secret, key, { ...context, field }));
}

/**
 * Opens what `sealEndpoint` sealed.
 * @throws InputError `seal-broken` naming the field
 */
export function openEndpoint(endpoint: GoalEndpoint, key: Uint8Array, context: EndpointSealContext): GoalEndpoint {
  return withSecrets(endpoint, (sealed, field) => open(sealed, key, { ...context, field }));
}

function withSecrets(endpoint: GoalEndpoint, change: (text: string, field: string) => string): GoalEndpoint {
  const { credentials, pgp } = endpoint;
  const changed: GoalEndpoint = { ...endpoint };
  if (credentials.kind === 'access-key') {
    const secretAccessKey = change(credentials.secretAccessKey, 'credentials.secretAccessKey');
    changed.credentials = { ...credentials, secretAccessKey };
  }
  if (pgp !== undefined) {
    changed.pgp = { ...pgp };
    if (pgp.privateKey !== undefined) changed.pgp.privateKey = change(pgp.privateKey, 'pgp.privateKey');
    if (pgp.passphrase !== undefined) changed.pgp.passphrase = change(pgp.passphrase, 'pgp.passphrase');
  }
  return changed;
}
