import type { PermissionReport } from '@millrace/domain';

/**
 * Streams of small records, split into shards by partition key. What every driver keeps to is written down as tests in
 * `event-stream.contract.ts`.
 *
 * Errors: `InputError` for what a person must change (`stream-not-found`, `access-denied`, `credentials-refused`),
 * `TransientError('event-stream-unavailable')` when the service did not answer.
 */
export interface EventStream {
  describe(stream: string): Promise<StreamDescription>;

  /**
   * Sends up to 500 records in one request and says of each what became of it, in their order. One try: what failed
   * is the caller's to send again, because only the caller knows whether it still may.
   *
   * Throws `PutFailedError` when the request as a whole failed; its `maybeAccepted` says whether the service may have
   * taken the records all the same. Throws `RangeError` for more than a request may hold (see `splitBatches`).
   */
  put(stream: string, records: readonly StreamRecord[], options: PutOptions): Promise<readonly PutResult[]>;

  /** Whether the stream is there and what may be done with it; sends nothing. */
  check(stream: string): Promise<PermissionReport>;

  /** Every record from the oldest kept to the newest at the time of asking, shard by shard. For tests and demonstrations. */
  readAll(stream: string): AsyncIterable<StoredRecord>;

  /** Closes pooled connections. The stream must not be used afterwards. */
  close(): void;
}

export interface StreamRecord {
  readonly data: Buffer;
  /** 1 to 256 characters; `partitionKeyOf` makes one of any text. */
  readonly partitionKey: string;
  /** Decimal, below 2^128: chooses the shard in place of the partition key. */
  readonly explicitHashKey?: string;
}

export interface PutOptions {
  /** The request is given up after this time, and never begun later. */
  readonly timeoutMs: number;
}

export type PutResult =
  | { readonly ok: true; readonly sequenceNumber: string; readonly shardId: string }
  | {
      readonly ok: false;
      /** The service's code, or `record-too-large`, which no retry helps. */
      readonly code: string;
      readonly message: string;
    };

export interface StreamDescription {
  /** Open shards. */
  readonly shards: number;
}

export interface StoredRecord extends StreamRecord {
  readonly sequenceNumber: string;
  readonly shardId: string;
}
