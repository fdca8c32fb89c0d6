import { type ExportProfilesGoal, type GoalEndpoint, InputError } from '@millrace/domain';

export interface PgpOptions {
  /** Public keys of everyone who may read the files; nobody: they are only signed. */
  readonly recipients: readonly string[];
  readonly signWith?: { readonly privateKey: string; readonly passphrase?: string };
}

/**
 * What PGP does to the files of a goal; undefined: nothing.
 * @throws InputError('pgp-recipients-missing' | 'pgp-key-missing') where the connection lacks the keys
 */
export function pgpOptions(goal: ExportProfilesGoal, endpoint: GoalEndpoint): PgpOptions | undefined {
  const { encrypt, sign } = goal.pgp;
  if (!encrypt && !sign) return undefined;
  const recipients = encrypt ? (endpoint.pgp?.recipients ?? []) : [];
  if (encrypt && recipients.length === 0) {
    throw new InputError(
      'pgp-recipients-missing',
      'the goal encrypts its files, but the connection has no public key of a recipient; add one under pgp.recipients',
      { at: 'pgp.recipients' },
    );
  }
  const { privateKey, passphrase } = endpoint.pgp ?? {};
  if (sign && privateKey === undefined) {
    throw new InputError(
      'pgp-key-missing',
      'the goal signs its files, but the connection has no private key; add one under pgp.privateKey',
      { at: 'pgp.privateKey' },
    );
  }
  return {
    recipients,
    ...(sign && privateKey !== undefined
      ? { signWith: { privateKey, ...(passphrase === undefined ? {} : { passphrase }) } }
      : {}),
  };
}
