import { createHash } from 'node:crypto';

// https://github.com/awslabs/amazon-kinesis-producer/blob/master/aggregation-format.md: magic number, protocol buffer, MD5 of the latter.
const magic = Buffer.from([0xf3, 0x89, 0x9a, 0xc2]);
const checksumBytes = 16;

// Field number and wire type of `AggregatedRecord` and its `Record`.
const partitionKeyTable = 0x0a;
const explicitHashKeyTable = 0x12;
const records = 0x1a;
const partitionKeyIndex = 0x08;
const explicitHashKeyIndex = 0x10;
const recordData = 0x1a;

export interface UserRecord {
  readonly data: Buffer;
  readonly partitionKey: string;
}

/** Several records as one, in their order; all have the same explicit hash key (decimal). */
export function encodeAggregate(members: readonly UserRecord[], explicitHashKey: string): Buffer {
  const keys = new Map<string, number>();
  for (const { partitionKey } of members) if (!keys.has(partitionKey)) keys.set(partitionKey, keys.size);
  const parts: Buffer[] = [];
  for (const key of keys.keys()) parts.push(...field(partitionKeyTable, Buffer.from(key)));
  parts.push(...field(explicitHashKeyTable, Buffer.from(explicitHashKey)));
  for (const { data, partitionKey } of members) {
    const head = Buffer.concat([
      Buffer.from([partitionKeyIndex]),
      varint(keys.get(partitionKey) ?? 0),
      Buffer.from([explicitHashKeyIndex, 0, recordData]),
      varint(data.length),
    ]);
    parts.push(Buffer.from([records]), varint(head.length + data.length), head, data);
  }
  const body = Buffer.concat(parts);
  return Buffer.concat([magic, body, createHash('md5').update(body).digest()]);
}

/** What one record adds to an aggregate at most, its partition key included. */
export function memberBytes({ data, partitionKey }: UserRecord): number {
  return data.length + Buffer.byteLength(partitionKey) + 24;
}

/** An aggregate without members, the longest explicit hash key included. */
export const emptyAggregateBytes = magic.length + checksumBytes + 44;

function field(tag: number, value: Buffer): Buffer[] {
  return [Buffer.from([tag]), varint(value.length), value];
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}
