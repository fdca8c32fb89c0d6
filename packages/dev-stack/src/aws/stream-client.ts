import { setTimeout as delay } from 'node:timers/promises';
import { sendSigned, type AwsAccess } from './signature.js';

export interface ReadRecord {
  readonly shardId: string;
  readonly sequenceNumber: string;
  readonly partitionKey: string;
  readonly data: Buffer;
}

interface RawRecord {
  readonly SequenceNumber: string;
  readonly PartitionKey: string;
  readonly Data: string;
}

/** The few Kinesis operations that seeding and reading back need. */
export class StreamClient {
  readonly #access: AwsAccess;

  constructor(access: AwsAccess) {
    this.#access = access;
  }

  /** Makes the stream, or finds it, and resolves when it can be used. */
  async ensureStream(name: string, shards = 1): Promise<void> {
    await this.#call('CreateStream', { StreamName: name, ShardCount: shards }, ['ResourceInUseException']);
    const deadline = Date.now() + 60_000;
    for (;;) {
      const answer = await this.#call<{ StreamDescriptionSummary: { StreamStatus: string } }>('DescribeStreamSummary', {
        StreamName: name,
      });
      if (answer.StreamDescriptionSummary.StreamStatus === 'ACTIVE') return;
      if (Date.now() > deadline) throw new Error(`stream ${name} is not active after a minute`);
      await delay(25);
    }
  }

  async deleteStream(name: string): Promise<void> {
    await this.#call('DeleteStream', { StreamName: name }, ['ResourceNotFoundException']);
  }

  /** Every record of every shard from the oldest kept, shard by shard, each in sequence order. */
  async *readAll(name: string): AsyncGenerator<ReadRecord> {
    const { Shards } = await this.#call<{ Shards: readonly { ShardId: string }[] }>('ListShards', { StreamName: name });
    for (const { ShardId: shardId } of Shards) yield* this.#readShard(name, shardId);
  }

  async *#readShard(name: string, shardId: string): AsyncGenerator<ReadRecord> {
    let { ShardIterator: iterator } = await this.#call<{ ShardIterator: string | undefined }>('GetShardIterator', {
      StreamName: name,
      ShardId: shardId,
      ShardIteratorType: 'TRIM_HORIZON',
    });
    while (iterator) {
      const answer: { Records: readonly RawRecord[]; NextShardIterator?: string; MillisBehindLatest?: number } =
        await this.#call('GetRecords', {
          ShardIterator: iterator,
          Limit: 10_000,
        });
      for (const record of answer.Records) {
        yield {
          shardId,
          sequenceNumber: record.SequenceNumber,
          partitionKey: record.PartitionKey,
          data: Buffer.from(record.Data, 'base64'),
        };
      }
      if (answer.Records.length === 0 && (answer.MillisBehindLatest ?? 0) === 0) return;
      iterator = answer.NextShardIterator;
    }
  }

  async #call<T>(operation: string, input: object, accepted: readonly string[] = []): Promise<T> {
    const response = await sendSigned(this.#access, 'kinesis', {
      method: 'POST',
      path: '/',
      headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `Kinesis_20131202.${operation}` },
      body: Buffer.from(JSON.stringify(input)),
    });
    const text = await response.text();
    const answer = text === '' ? {} : (JSON.parse(text) as { __type?: string; message?: string });
    if (!response.ok && !accepted.includes(answer.__type?.split('#').at(-1) ?? '')) {
      throw new Error(`${operation}: ${answer.__type ?? response.status} ${answer.message ?? ''}`.trim());
    }
    return answer as T;
  }
}
