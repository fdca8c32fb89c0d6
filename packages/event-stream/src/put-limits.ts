import { createHash } from 'node:crypto';
import type { PutResult, StreamRecord } from './event-stream.js';

/** Kinesis's bounds (https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html). */
export const maxRecordsPerPut = 500;
/** Data and partition keys of one request. */
export const maxBytesPerPut = 10 * 1024 * 1024;
/** Characters. */
export const maxPartitionKey = 256;

export interface PutLimits {
  readonly records: number;
  readonly bytes: number;
  /** Data and key of one record: 10 MiB at most; a stream takes 1 MiB unless it is set up for more. */
  readonly recordBytes: number;
}

export const defaultPutLimits: PutLimits = {
  records: maxRecordsPerPut,
  bytes: maxBytesPerPut,
  recordBytes: maxBytesPerPut,
};

/** What a record counts for against the limits. */
export function recordBytes(record: StreamRecord): number {
  return record.data.length + Buffer.byteLength(record.partitionKey);
}

/** The text itself while it is a possible partition key, else its SHA-256: the same text always goes to the same shard. */
export function partitionKeyOf(text: string): string {
  if (text.length > 0 && text.length <= maxPartitionKey) return text;
  return createHash('sha256').update(text).digest('hex');
}

/**
 * Cuts records, order kept, into batches that one request each can hold. A record too large by itself goes along:
 * `put` answers for it without sending it.
 */
export function splitBatches<T extends StreamRecord>(records: readonly T[], limits: Partial<PutLimits> = {}): T[][] {
  const { records: most, bytes: budget, recordBytes: largest } = { ...defaultPutLimits, ...limits };
  const batches: T[][] = [];
  let batch: T[] = [];
  let bytes = 0;
  for (const record of records) {
    const size = recordBytes(record);
    const counts = size > largest ? 0 : size;
    if (batch.length === most || (batch.length > 0 && bytes + counts > budget)) {
      batches.push(batch);
      batch = [];
      bytes = 0;
    }
    batch.push(record);
    bytes += counts;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

/** Separates what may be sent from what is refused beforehand; `RangeError` if the rest is more than one request holds. */
export function admit(
  records: readonly StreamRecord[],
  limits: PutLimits,
): { readonly sent: readonly StreamRecord[]; readonly merge: (results: readonly PutResult[]) => PutResult[] } {
  const tooLarge = records.map((record) => recordBytes(record) > limits.recordBytes);
  const sent = tooLarge.includes(true) ? records.filter((_, index) => tooLarge[index] !== true) : records;
  const bytes = sent.reduce((sum, record) => sum + recordBytes(record), 0);
  if (sent.length > limits.records || bytes > limits.bytes) {
    throw new RangeError(
      `one request holds ${limits.records} records and ${limits.bytes} bytes, not ${sent.length} and ${bytes}: use splitBatches`,
    );
  }
  const merge = (results: readonly PutResult[]): PutResult[] => {
    let next = 0;
    return records.map((_, index) => (tooLarge[index] === true ? refusal(limits) : (results[next++] ?? missingResult)));
  };
  return { sent, merge };
}

function refusal(limits: PutLimits): PutResult {
  return {
    ok: false,
    code: 'record-too-large',
    message: `larger than ${limits.recordBytes} bytes, partition key included`,
  };
}

const missingResult: PutResult = {
  ok: false,
  code: 'no-result',
  message: 'the service gave no result for this record',
};
