import { createHash } from 'node:crypto';
import type { EventStream, PutResult, StreamRecord } from './event-stream.js';
import { emptyAggregateBytes, encodeAggregate, memberBytes } from './kpl-format.js';
import { maxBytesPerPut, type PutLimits } from './put-limits.js';

export interface AggregationOptions {
  /**
   * Records are spread over so many hash keys, and only those of one key are packed together. The key follows from the partition key
   * alone, so that all records of one partition key take the same way, and consumers of the Kinesis Client Library, which drop
   * what does not belong to a shard, find each where it belongs. At least four for each shard spreads well.
   */
  readonly hashKeys: number;
  /** Of one packed record, its partition key apart. Default: as the Kinesis Producer Library's. */
  readonly maxBytes?: number;
}

// AggregationMaxSize of the Kinesis Producer Library.
const defaultMaxBytes = 51_200;

/** Packing repeats a partition key for each pack: with this much left free a request stays within its limit. */
export const aggregatedPutLimits: Partial<PutLimits> = { bytes: maxBytesPerPut - 512 * 1024 };

interface Pack {
  readonly hashKey: string;
  readonly members: { readonly record: StreamRecord; readonly index: number }[];
  bytes: number;
}

/**
 * The same stream, with several records packed into one in the format of the Kinesis Producer Library. A result stays a record's own:
 * those packed together share it. Order within a partition key stays. `put` wants `aggregatedPutLimits`.
 */
export function aggregating(inner: EventStream, options: AggregationOptions): EventStream {
  const maxBytes = options.maxBytes ?? defaultMaxBytes;
  return {
    describe: (stream) => inner.describe(stream),
    check: (stream) => inner.check(stream),
    readAll: (stream) => inner.readAll(stream),
    close: () => inner.close(),
    put: async (stream, records, putOptions) => {
      const packs = pack(records, options.hashKeys, maxBytes);
      const answers = await inner.put(stream, packs.map(toRecord), putOptions);
      const results: PutResult[] = [];
      packs.forEach(({ members }, index) => {
        const answer = answers[index] ?? { ok: false, code: 'no-result', message: 'the service gave no result' };
        for (const member of members) results[member.index] = answer;
      });
      return results;
    },
  };
}

function pack(records: readonly StreamRecord[], hashKeys: number, maxBytes: number): readonly Pack[] {
  const packs: Pack[] = [];
  const open = new Map<string, Pack>();
  records.forEach((record, index) => {
    const hashKey = hashKeyOf(record.partitionKey, hashKeys);
    const bytes = memberBytes(record);
    let current = open.get(hashKey);
    if (current === undefined || current.bytes + bytes > maxBytes) {
      current = { hashKey, members: [], bytes: emptyAggregateBytes };
      packs.push(current);
      open.set(hashKey, current);
    }
    current.members.push({ record, index });
    current.bytes += bytes;
  });
  return packs;
}

function toRecord({ hashKey: explicitHashKey, members }: Pack): StreamRecord {
  const [first, ...others] = members.map(({ record }) => record);
  if (first === undefined) throw new RangeError('a pack without records');
  if (others.length === 0) return { ...first, explicitHashKey };
  const data = encodeAggregate([first, ...others], explicitHashKey);
  return { data, partitionKey: first.partitionKey, explicitHashKey };
}

const hashSpace = 2n ** 128n;

/** The middle of the slice, of `count` equal ones, that the partition key's own hash lies in: a decimal number below 2^128. */
function hashKeyOf(partitionKey: string, count: number): string {
  const hash = createHash('md5').update(partitionKey).digest().readUInt32BE(0);
  const slice = Math.floor((hash / 2 ** 32) * count);
  return String((hashSpace * BigInt(2 * slice + 1)) / BigInt(2 * count));
}
