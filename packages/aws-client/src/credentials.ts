import { InputError, TransientError, type AwsCredentials } from '@millrace/domain';
import { classifyAwsFault } from './fault.js';

/** The shape the SDK's clients take: keys as they are, or a function they call again shortly before `expiration`. */
export type SdkCredentials =
  | { readonly accessKeyId: string; readonly secretAccessKey: string }
  | (() => Promise<{ accessKeyId: string; secretAccessKey: string; sessionToken?: string; expiration?: Date }>);

/**
 * Turns a connection's credentials (already opened, never sealed) into the SDK's form; `undefined` leaves the SDK its
 * default chain: environment, shared files, container, instance. A role is assumed through STS with whatever the
 * default chain yields, for an hour at a time.
 */
export function sdkCredentials(credentials: AwsCredentials, region: string): SdkCredentials | undefined {
  switch (credentials.kind) {
    case 'default-chain':
      return undefined;
    case 'access-key':
      return { accessKeyId: credentials.accessKeyId, secretAccessKey: credentials.secretAccessKey };
    case 'role':
      return assumedRole(credentials.roleArn, credentials.externalId, region);
  }
}

function assumedRole(roleArn: string, externalId: string | undefined, region: string): SdkCredentials {
  let provider: Promise<() => Promise<{ accessKeyId: string; secretAccessKey: string }>> | undefined;
  // Loaded on first use: the STS client would add a noticeable part to the start of services that never assume a role.
  const load = async () => {
    const { fromTemporaryCredentials } = await import('@aws-sdk/credential-providers');
    return fromTemporaryCredentials({
      params: {
        RoleArn: roleArn,
        RoleSessionName: 'millrace',
        DurationSeconds: 3600,
        ...(externalId === undefined ? {} : { ExternalId: externalId }),
      },
      clientConfig: { region },
    });
  };
  return async () => {
    try {
      return await (
        await (provider ??= load())
      )();
    } catch (error) {
      throw roleError(error, roleArn);
    }
  };
}

function roleError(error: unknown, roleArn: string): Error {
  const fault = classifyAwsFault(error);
  if (fault.kind === 'unreachable' || fault.kind === 'busy') {
    return new TransientError(
      'credentials-unavailable',
      `assuming the role ${roleArn}: the token service did not answer (${fault.code})`,
      {
        cause: error,
      },
    );
  }
  return new InputError(
    'credentials-refused',
    `assuming the role ${roleArn}: refused (${fault.code}); the role's trust policy must name this service's identity, and the external id must match`,
    { at: 'credentials.roleArn', cause: error },
  );
}
