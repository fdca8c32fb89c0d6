import { createHash } from 'node:crypto';
import { InputError, reportPermissions } from '@millrace/domain';
import type { EventStream, PutResult, StoredRecord, StreamRecord } from './event-stream.js';
import { admit, defaultPutLimits, maxPartitionKey, type PutLimits } from './put-limits.js';

export interface MemoryEventStreamOptions {
  /** Names of the streams there are, and how many shards each has. */
  readonly streams: Readonly<Record<string, number>>;
  readonly limits?: Partial<PutLimits>;
  /** Refuses a record as a busy shard would; called for each record sent. */
  readonly refuse?: (record: StreamRecord) => { readonly code: string; readonly message: string } | undefined;
}

/** Streams that live as long as this object: for tests, and for trying out a goal without an account. */
export function createMemoryEventStream(options: MemoryEventStreamOptions): EventStream {
  const limits = { ...defaultPutLimits, ...options.limits };
  const streams = new Map(
    Object.entries(options.streams).map(([name, shards]) => [
      name,
      Array.from({ length: shards }, (): StoredRecord[] => []),
    ]),
  );
  let lastSequence = 0;

  const shardsOf = (stream: string): StoredRecord[][] => {
    const shards = streams.get(stream);
    if (shards === undefined)
      throw new InputError('stream-not-found', `the stream "${stream}" does not exist; check its name`, { at: stream });
    return shards;
  };

  const store = (shards: StoredRecord[][], record: StreamRecord): PutResult => {
    const refused = options.refuse?.(record);
    if (refused !== undefined) return { ok: false, ...refused };
    const index = shardIndex(record, shards.length);
    lastSequence += 1;
    const place = {
      sequenceNumber: String(lastSequence).padStart(21, '0'),
      shardId: `shardId-${String(index).padStart(12, '0')}`,
    };
    shards[index]?.push({ data: Buffer.from(record.data), partitionKey: record.partitionKey, ...place });
    return { ok: true, ...place };
  };

  return {
    describe: async (stream) => ({ shards: shardsOf(stream).length }),
    put: async (stream, records) => {
      const { sent, merge } = admit(records, limits);
      const shards = shardsOf(stream);
      for (const { partitionKey } of sent) assertPartitionKey(partitionKey, stream);
      return merge(sent.map((record) => store(shards, record)));
    },
    check: async (stream) => {
      shardsOf(stream);
      return reportPermissions(stream, [
        { permission: 'put', status: 'granted', required: true, probe: 'none: streams in memory refuse nothing' },
      ]);
    },
    readAll: async function* readAll(stream) {
      for (const shard of shardsOf(stream)) yield* [...shard];
    },
    close: () => {},
  };
}

/** As the service does, by the explicit hash key or the partition key's MD5, over shards of equal range. */
function shardIndex({ partitionKey, explicitHashKey }: StreamRecord, shards: number): number {
  if (explicitHashKey !== undefined) return Number((BigInt(explicitHashKey) * BigInt(shards)) >> 128n);
  const hash = createHash('md5').update(partitionKey).digest();
  return Math.floor((hash.readUInt32BE(0) / 2 ** 32) * shards);
}

function assertPartitionKey(partitionKey: string, stream: string): void {
  if (partitionKey.length > 0 && partitionKey.length <= maxPartitionKey) return;
  throw new InputError(
    'event-stream-refused',
    `a record for the stream "${stream}" has a partition key of ${partitionKey.length} characters; 1 to ${maxPartitionKey} are possible`,
    { at: stream },
  );
}
