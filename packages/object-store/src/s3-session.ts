import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import {
  awsClientOptions,
  defaultRetryPolicy,
  withoutSdkRetries,
  withRetries,
  type AwsTarget,
  type ConnectionLimits,
  type RetryPolicy,
} from '@millrace/aws-client';
import { s3Error, type S3Attempt } from './s3-errors.js';

export interface S3SessionOptions extends AwsTarget, ConnectionLimits {
  readonly retry?: RetryPolicy | undefined;
}

/** A client, how it retries, and how its errors read: what all S3 operations here share. */
export interface S3Session {
  readonly client: S3Client;
  readonly retry: RetryPolicy;
  /** Runs one request, again when it failed in passing, and rewords its error. */
  run<T>(attempt: S3Attempt, request: () => Promise<T>, signal?: AbortSignal): Promise<T>;
}

export function openS3Session(options: S3SessionOptions): S3Session {
  const retry = options.retry ?? defaultRetryPolicy;
  const client = s3Client(options);
  return {
    client,
    retry,
    run: async (attempt, request, signal) => {
      try {
        return await withRetries(request, retry, signal);
      } catch (error) {
        throw s3Error(error, attempt);
      }
    },
  };
}

function s3Client(options: S3SessionOptions): S3Client {
  const config: S3ClientConfig = {
    ...awsClientOptions(options, options),
    // A bucket as part of the host name needs a DNS entry per bucket, which only AWS has.
    forcePathStyle: options.endpoint !== undefined,
    // SHA-256 is counted here already; checksums by default would read every part once more.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // Saves a round trip per part; a part that is refused is sent again as a whole anyway.
    expectContinueHeader: false,
  };
  const client = withoutSdkRetries(new S3Client(config));
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const { request } = args;
      // Signing a payload means hashing it. Within TLS, which authenticates every byte, it would be done twice.
      if (context['commandName'] === 'UploadPartCommand' && isTlsRequest(request))
        request.headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
      return await next(args);
    },
    { step: 'build', name: 'millraceUnsignedPartsOverTls' },
  );
  return client;
}

function isTlsRequest(request: unknown): request is { headers: Record<string, string> } {
  return (
    typeof request === 'object' &&
    request !== null &&
    'protocol' in request &&
    request.protocol === 'https:' &&
    'headers' in request
  );
}
