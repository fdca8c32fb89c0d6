import { types } from 'node:util';
import { classifyAwsFault } from '@millrace/aws-client';
import { InputError, TransientError } from '@millrace/domain';

/** What was tried, for messages: the action as an IAM policy names it, and what it was done to. */
export interface S3Attempt {
  readonly action: string;
  readonly bucket: string;
  readonly key?: string | undefined;
}

/** `s3://bucket/key`, as people write it. */
export function s3Name(bucket: string, key?: string): string {
  return key === undefined ? `s3://${bucket}` : `s3://${bucket}/${key}`;
}

/** Says in this project's words what a failed request means, keeping the SDK's error as the cause. */
export function s3Error(error: unknown, attempt: S3Attempt): Error {
  if (error instanceof InputError || error instanceof TransientError) return error;
  const { action, bucket } = attempt;
  const name = s3Name(bucket, attempt.key);
  const fault = classifyAwsFault(error);
  const details = { at: name, cause: error };

  switch (fault.kind) {
    case 'credentials':
      return new InputError(
        'credentials-refused',
        `${action} on ${name}: the access key id, its secret or its session is not accepted (${fault.code}); check the connection's credentials`,
        details,
      );
    case 'access-denied':
      return new InputError(
        'access-denied',
        `${action} on ${name}: not allowed (${fault.code}); grant ${action} to the connection's identity in its IAM policy and in the bucket's policy`,
        details,
      );
    case 'clock':
      return new InputError(
        'clock-skew',
        `${action} on ${name}: this machine's clock differs too much from the store's; synchronise it`,
        details,
      );
    case 'untrusted':
      return new InputError(
        'endpoint-untrusted',
        `${action} on ${name}: no trusted TLS connection (${fault.code}); check the endpoint's scheme, name and certificate`,
        details,
      );
    case 'busy':
    case 'unreachable':
      return new TransientError(
        'object-store-unavailable',
        `${action} on ${name}: ${unavailable(fault.kind, fault.code)}`,
        details,
      );
    case 'unintelligible':
      // To a HEAD, S3 sends this without a code.
      if (fault.status === 301) return refusal('PermanentRedirect', fault.status, attempt, details);
      return new InputError(
        'endpoint-not-s3',
        `${action} on ${name}: the endpoint answered HTTP ${fault.status ?? '?'}, but not as S3 does; check the endpoint's address and the region`,
        details,
      );
    case 'refused':
      return refusal(fault.code, fault.status, attempt, details);
    case 'bug':
      return types.isNativeError(error) ? error : new Error(`${action} on ${name} failed`, { cause: error });
  }
}

function unavailable(kind: 'busy' | 'unreachable', code: string): string {
  if (code === 'ENOTFOUND') return 'the host name is unknown; if this lasts, check the endpoint and the region';
  return kind === 'busy' ? `the store is busy or failing (${code})` : `the store did not answer (${code})`;
}

function refusal(
  code: string,
  status: number | undefined,
  { action, bucket, key }: S3Attempt,
  details: { at: string; cause: unknown },
): Error {
  const name = s3Name(bucket, key);
  switch (code) {
    case 'NoSuchBucket':
      return new InputError(
        'bucket-not-found',
        `the bucket "${bucket}" does not exist; check its name, and the connection's endpoint`,
        details,
      );
    case 'InvalidBucketName':
      return new InputError('bucket-not-found', `"${bucket}" is not a possible name of a bucket`, details);
    case 'NoSuchKey':
    case 'NotFound':
      return new InputError('object-not-found', `${name} does not exist`, details);
    case 'PreconditionFailed':
      return new InputError(
        'object-changed',
        `${name} is no longer the object that was found; list the source again`,
        details,
      );
    case 'NoSuchUpload':
      return new TransientError(
        'upload-lost',
        `${action} on ${name}: the upload is no longer open; write the object again`,
        details,
      );
    case 'PermanentRedirect':
    case 'AuthorizationHeaderMalformed':
    case 'IllegalLocationConstraintException':
      return new InputError(
        'wrong-region',
        `the bucket "${bucket}" is in another region${regionOf(details.cause)}; set the connection's region to it`,
        details,
      );
    case 'InvalidObjectState':
      return new InputError('object-archived', `${name} is archived; restore it before it can be read`, details);
    case 'EntityTooLarge':
      return new InputError('object-too-large', `${name} is larger than the store allows`, details);
    default:
      return new InputError(
        'object-store-refused',
        `${action} on ${name}: refused (${code}${status === undefined ? '' : `, HTTP ${status}`})`,
        details,
      );
  }
}

function regionOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '';
  if ('Region' in error && typeof error.Region === 'string') return ` (${error.Region})`;
  if (!('$response' in error) || typeof error.$response !== 'object' || error.$response === null) return '';
  const headers: unknown = 'headers' in error.$response ? error.$response.headers : undefined;
  const region =
    typeof headers === 'object' && headers !== null && 'x-amz-bucket-region' in headers
      ? headers['x-amz-bucket-region']
      : undefined;
  return typeof region === 'string' ? ` (${region})` : '';
}
