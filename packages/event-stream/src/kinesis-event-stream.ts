import {
  DescribeStreamSummaryCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  KinesisClient,
  ListShardsCommand,
  type PutRecordsResultEntry,
} from '@aws-sdk/client-kinesis';
import {
  awsClientOptions,
  defaultRetryPolicy,
  withoutSdkRetries,
  withRetries,
  type AwsTarget,
  type ConnectionLimits,
  type RetryPolicy,
} from '@millrace/aws-client';
import type { EventStream, PutOptions, PutResult, StoredRecord, StreamRecord } from './event-stream.js';
import { checkKinesisStream } from './kinesis-check.js';
import { kinesisError, putError } from './kinesis-errors.js';
import { PutFailedError } from './put-failed-error.js';
import { admit, defaultPutLimits, type PutLimits } from './put-limits.js';
import { putRecordEntries } from './put-records.js';

export interface KinesisEventStreamOptions extends AwsTarget, ConnectionLimits {
  /** For requests that only read; `put` is always tried once. */
  readonly retry?: RetryPolicy;
  /** Narrower than Kinesis's own, for a stream or a compatible service that takes less. */
  readonly limits?: Partial<PutLimits>;
}

/** Amazon Kinesis Data Streams, or, with `endpoint`, a service that speaks its language. */
export function createKinesisEventStream(options: KinesisEventStreamOptions): EventStream {
  const client = withoutSdkRetries(new KinesisClient(awsClientOptions(options, options)));
  const retry = options.retry ?? defaultRetryPolicy;
  const limits = { ...defaultPutLimits, ...options.limits };
  return {
    describe: async (stream) => {
      const answer = await ask(retry, 'kinesis:DescribeStreamSummary', stream, async () =>
        client.send(new DescribeStreamSummaryCommand({ StreamName: stream })),
      );
      return { shards: answer.StreamDescriptionSummary?.OpenShardCount ?? 0 };
    },
    put: async (stream, records, putOptions) => putRecords(client, limits, stream, records, putOptions),
    check: async (stream) => checkKinesisStream(client, retry, stream),
    readAll: (stream) => readAll(client, retry, stream),
    close: () => client.destroy(),
  };
}

async function ask<T>(retry: RetryPolicy, action: string, stream: string, request: () => Promise<T>): Promise<T> {
  try {
    return await withRetries(request, retry);
  } catch (error) {
    throw kinesisError(error, action, stream);
  }
}

async function putRecords(
  client: KinesisClient,
  limits: PutLimits,
  stream: string,
  records: readonly StreamRecord[],
  { timeoutMs }: PutOptions,
): Promise<readonly PutResult[]> {
  const { sent, merge } = admit(records, limits);
  if (sent.length === 0) return merge([]);
  // Started before the credentials are fetched: a request that would begin after its time does not begin.
  const abortSignal = AbortSignal.timeout(timeoutMs);
  try {
    const entries = await putRecordEntries(client, stream, sent, abortSignal);
    if (entries?.length !== sent.length) {
      throw new PutFailedError(
        `kinesis:PutRecords on the stream "${stream}": ${entries?.length ?? 'no'} results for ${sent.length} records`,
        true,
        { at: stream },
      );
    }
    return merge(entries.map(resultOf));
  } catch (error) {
    throw error instanceof PutFailedError ? error : putError(error, stream);
  }
}

/** The service answers 200 and says in each entry whether that record was taken. */
function resultOf(entry: PutRecordsResultEntry): PutResult {
  if (entry.SequenceNumber !== undefined && entry.ShardId !== undefined) {
    return { ok: true, sequenceNumber: entry.SequenceNumber, shardId: entry.ShardId };
  }
  return {
    ok: false,
    code: entry.ErrorCode ?? 'InternalFailure',
    message: entry.ErrorMessage ?? 'the service gave no reason',
  };
}

async function* readAll(client: KinesisClient, retry: RetryPolicy, stream: string): AsyncGenerator<StoredRecord> {
  let token: string | undefined;
  do {
    const request = token === undefined ? { StreamName: stream } : { NextToken: token };
    const page = await ask(retry, 'kinesis:ListShards', stream, async () =>
      client.send(new ListShardsCommand(request)),
    );
    for (const { ShardId } of page.Shards ?? [])
      if (ShardId !== undefined) yield* readShard(client, retry, stream, ShardId);
    token = page.NextToken;
  } while (token !== undefined);
}

async function* readShard(
  client: KinesisClient,
  retry: RetryPolicy,
  stream: string,
  shardId: string,
): AsyncGenerator<StoredRecord> {
  const start = await ask(retry, 'kinesis:GetShardIterator', stream, async () =>
    client.send(
      new GetShardIteratorCommand({ StreamName: stream, ShardId: shardId, ShardIteratorType: 'TRIM_HORIZON' }),
    ),
  );
  // A closed shard ends without a next iterator, an open one when nothing is left behind the newest record.
  for (let iterator = start.ShardIterator, behindMs = Infinity; iterator !== undefined && behindMs > 0;) {
    const page = await ask(retry, 'kinesis:GetRecords', stream, async () =>
      client.send(new GetRecordsCommand({ ShardIterator: iterator })),
    );
    for (const record of page.Records ?? []) {
      yield {
        data: Buffer.from(record.Data ?? []),
        partitionKey: record.PartitionKey ?? '',
        sequenceNumber: record.SequenceNumber ?? '',
        shardId,
      };
    }
    iterator = page.NextShardIterator;
    behindMs = page.MillisBehindLatest ?? 0;
  }
}
