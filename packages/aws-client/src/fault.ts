import { types } from 'node:util';
import { InputError, TransientError } from '@millrace/domain';

/**
 * What a failed AWS request means for the one who made it:
 * - `credentials`: key id, secret or token are not accepted
 * - `access-denied`: known, but not allowed to do this
 * - `clock`: this machine's clock is too far off, and correcting for it did not help
 * - `untrusted`: the endpoint's certificate does not check out, or it does not speak TLS
 * - `busy`: answered, asked to slow down or to come back later
 * - `unreachable`: no answer: refused, reset, timed out, unknown host
 * - `refused`: answered with another error of the caller's making
 * - `unintelligible`: answered, but not in the service's language (a proxy's page, another service)
 * - `bug`: not an answer at all
 */
export type AwsFaultKind =
  | 'credentials'
  | 'access-denied'
  | 'clock'
  | 'untrusted'
  | 'busy'
  | 'unreachable'
  | 'refused'
  | 'unintelligible'
  | 'bug';

export interface AwsFault {
  readonly kind: AwsFaultKind;
  /** The service's error code, the socket's, or the error's class. Never row contents. */
  readonly code: string;
  readonly status: number | undefined;
  /** The service may have done what was asked, although it said otherwise or nothing. */
  readonly maybeDone: boolean;
  /** Asked to slow down: wait longer than after another fault. */
  readonly throttled: boolean;
}

const credentialCodes = new Set([
  'AuthFailure',
  'CredentialsProviderError',
  'ExpiredToken',
  'ExpiredTokenException',
  'IncompleteSignature',
  'IncompleteSignatureException',
  'InvalidAccessKeyId',
  'InvalidClientTokenId',
  'InvalidSecurity',
  'InvalidSignatureException',
  'InvalidToken',
  'MissingAuthenticationToken',
  'MissingAuthenticationTokenException',
  'NotSignedUp',
  'SignatureDoesNotMatch',
  'TokenRefreshRequired',
  'UnrecognizedClientException',
]);
const deniedCodes = new Set([
  'AccessDenied',
  'AccessDeniedException',
  'AllAccessDisabled',
  'AccountProblem',
  'KMSAccessDeniedException',
]);
const throttleCodes = new Set([
  'BandwidthLimitExceeded',
  'KMSThrottlingException',
  'LimitExceededException',
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'RequestThrottled',
  'RequestThrottledException',
  'SlowDown',
  'Throttling',
  'ThrottlingException',
  'TooManyRequestsException',
]);
/** Answered with 4xx, and yet worth another try. */
const busyCodes = new Set([
  'ConditionalRequestConflict',
  'OperationAborted',
  'RequestTimeout',
  'RequestTimeoutException',
]);
const clockCodes = new Set(['RequestTimeTooSkewed', 'RequestExpired', 'RequestInTheFuture']);
const trustCodes = /^(CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|EPROTO$)/;
/** Failed before a byte of the request was sent. */
const unsentCodes = new Set(['EAI_AGAIN', 'ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND']);
const socketCodes = new Set([
  'ECONNABORTED',
  'ECONNRESET',
  'EPIPE',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ETIMEDOUT',
  'TimeoutError',
  'AbortError',
]);

/** Reads what the SDK threw. Errors of this project pass as `refused` or `unreachable` by their class. */
export function classifyAwsFault(error: unknown): AwsFault {
  if (error instanceof InputError) return fault('refused', error.code);
  if (error instanceof TransientError) return fault('unreachable', error.code);
  if (!types.isNativeError(error)) return fault('bug', typeof error);
  const status = answerStatus(error);
  const code = errorCode(error, status);

  // The SDK has corrected its clock by the answer's date: the next try is signed with the right time.
  if (clockWasCorrected(error)) return fault('busy', code, status);
  if (clockCodes.has(code)) return fault('clock', code, status);
  if (credentialCodes.has(code)) return fault('credentials', code, status);
  if (deniedCodes.has(code) || status === 403) return fault('access-denied', code, status);
  if (throttleCodes.has(code) || status === 429) return { ...fault('busy', code, status), throttled: true };
  if (trustCodes.test(code)) return fault('untrusted', code, status);
  if (unsentCodes.has(code)) return fault('unreachable', code, status);
  if (socketCodes.has(code)) return { ...fault('unreachable', code, status), maybeDone: !neverConnected(error) };
  if (status === undefined) return fault('bug', code);
  if (status >= 500 && status !== 501) return { ...fault('busy', code, status), maybeDone: true };
  if (busyCodes.has(code) || status === 408) return { ...fault('busy', code, status), maybeDone: true };
  const isAnswer = status >= 400 || (status >= 300 && !code.startsWith('HTTP '));
  return fault(isAnswer ? 'refused' : 'unintelligible', code, status);
}

/** Whether the same request may succeed a little later. */
export function isRetryable(kind: AwsFaultKind): boolean {
  return kind === 'busy' || kind === 'unreachable';
}

function fault(kind: AwsFaultKind, code: string, status?: number): AwsFault {
  return { kind, code, status, maybeDone: false, throttled: false };
}

function answerStatus(error: Error): number | undefined {
  const metadata: unknown = '$metadata' in error ? error.$metadata : undefined;
  if (isRecord(metadata) && typeof metadata['httpStatusCode'] === 'number') return metadata['httpStatusCode'];
  const response: unknown = '$response' in error ? error.$response : undefined;
  return isRecord(response) && typeof response['statusCode'] === 'number' ? response['statusCode'] : undefined;
}

function errorCode(error: Error, status: number | undefined): string {
  // A socket's error carries its code; the service's is the SDK's class name.
  if (status === undefined && 'code' in error && typeof error.code === 'string') return error.code;
  const numbered = /^\d+$/.test(error.name) || error.name === 'Error' || error.name === 'UnknownError';
  return numbered && status !== undefined ? `HTTP ${status}` : error.name;
}

/** The SDK's own connect timeout has no code. */
function neverConnected(error: Error): boolean {
  return (
    error.message.includes('did not establish a connection') || ('syscall' in error && error.syscall === 'connect')
  );
}

function clockWasCorrected(error: Error): boolean {
  const metadata: unknown = '$metadata' in error ? error.$metadata : undefined;
  return isRecord(metadata) && metadata['clockSkewCorrected'] === true;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
