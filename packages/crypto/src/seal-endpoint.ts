import type { GoalEndpoint } from '@millrace/domain';
import { open, seal, type SealContext } from './seal.js';

export type EndpointOwner = Omit<SealContext, 'field'>;

/** Seals the secrets of an endpoint for one service; everything else stays readable. */
export function sealEndpoint(endpoint: GoalEndpoint, key: Uint8Array, owner: EndpointOwner): GoalEndpoint {
  return mapSecrets(endpoint, (text, field) => seal(text, key, { ...owner, field }));
}

/** Opens what `sealEndpoint` sealed. InputError('seal-broken') naming the field. */
export function openEndpoint(endpoint: GoalEndpoint, key: Uint8Array, owner: EndpointOwner): GoalEndpoint {
  return mapSecrets(endpoint, (text, field) => open(text, key, { ...owner, field }));
}

function mapSecrets(endpoint: GoalEndpoint, change: (text: string, field: string) => string): GoalEndpoint {
  const { credentials, pgp } = endpoint;
  return {
    ...endpoint,
    credentials:
      credentials.kind === 'access-key'
        ? { ...credentials, secretAccessKey: change(credentials.secretAccessKey, 'credentials.secretAccessKey') }
        : credentials,
    ...(pgp === undefined
      ? {}
      : {
          pgp: {
            ...pgp,
            ...(pgp.privateKey === undefined ? {} : { privateKey: change(pgp.privateKey, 'pgp.privateKey') }),
            ...(pgp.passphrase === undefined ? {} : { passphrase: change(pgp.passphrase, 'pgp.passphrase') }),
          },
        }),
  };
}
