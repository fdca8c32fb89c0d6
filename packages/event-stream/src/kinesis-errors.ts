import { types } from 'node:util';
import { classifyAwsFault, isRetryable } from '@millrace/aws-client';
import { InputError, TransientError } from '@millrace/domain';
import { PutFailedError } from './put-failed-error.js';

/** `action` as an IAM policy names it. */
export function kinesisError(error: unknown, action: string, stream: string): Error {
  if (error instanceof InputError || error instanceof TransientError) return error;
  const fault = classifyAwsFault(error);
  const details = { at: stream, cause: error };
  switch (fault.kind) {
    case 'credentials':
      return new InputError(
        'credentials-refused',
        `${action} on the stream "${stream}": the access key id, its secret or its session is not accepted (${fault.code}); check the connection's credentials`,
        details,
      );
    case 'access-denied':
      return new InputError(
        'access-denied',
        `${action} on the stream "${stream}": not allowed (${fault.code}); grant ${action} to the connection's identity in its IAM policy`,
        details,
      );
    case 'clock':
      return new InputError(
        'clock-skew',
        `${action} on the stream "${stream}": this machine's clock differs too much from the service's; synchronise it`,
        details,
      );
    case 'untrusted':
      return new InputError(
        'endpoint-untrusted',
        `${action} on the stream "${stream}": no trusted TLS connection (${fault.code}); check the endpoint's scheme, name and certificate`,
        details,
      );
    case 'busy':
    case 'unreachable':
      return new TransientError(
        'event-stream-unavailable',
        `${action} on the stream "${stream}": the service is busy or did not answer (${fault.code})`,
        details,
      );
    case 'unintelligible':
      return new InputError(
        'endpoint-not-kinesis',
        `${action} on the stream "${stream}": the endpoint answered HTTP ${fault.status ?? '?'}, but not as Kinesis does; check its address`,
        details,
      );
    case 'refused':
      return refusal(fault.code, action, stream, details);
    case 'bug':
      return types.isNativeError(error)
        ? error
        : new Error(`${action} on the stream "${stream}" failed`, { cause: error });
  }
}

/** The same for a request that may have had an effect before it failed. */
export function putError(error: unknown, stream: string): Error {
  const fault = classifyAwsFault(error);
  if (!isRetryable(fault.kind)) return kinesisError(error, 'kinesis:PutRecords', stream);
  const what =
    fault.code === 'AbortError'
      ? 'no answer within the time allowed'
      : `the service is busy or did not answer (${fault.code})`;
  return new PutFailedError(`kinesis:PutRecords on the stream "${stream}": ${what}`, fault.maybeDone, {
    at: stream,
    cause: error,
  });
}

function refusal(code: string, action: string, stream: string, details: { at: string; cause: unknown }): InputError {
  switch (code) {
    case 'ResourceNotFoundException':
      return new InputError(
        'stream-not-found',
        `the stream "${stream}" does not exist; check its name and the connection's region and account`,
        details,
      );
    case 'KMSDisabledException':
    case 'KMSInvalidStateException':
    case 'KMSNotFoundException':
    case 'KMSOptInRequired':
      return new InputError(
        'stream-key-unusable',
        `${action} on the stream "${stream}": its encryption key cannot be used (${code})`,
        details,
      );
    default:
      return new InputError('event-stream-refused', `${action} on the stream "${stream}": refused (${code})`, details);
  }
}
