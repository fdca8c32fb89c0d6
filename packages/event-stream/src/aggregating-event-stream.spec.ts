import { deaggregateSync } from 'aws-kinesis-agg';
import { aggregating } from './aggregating-event-stream.js';
import type { EventStream, StoredRecord, StreamRecord } from './event-stream.js';
import { createMemoryEventStream } from './memory-event-stream.js';

const shards = 4;
const timeoutMs = 1000;

function stream(refuse?: (record: StreamRecord) => { code: string; message: string } | undefined): EventStream {
  return createMemoryEventStream({ streams: { s: shards }, ...(refuse === undefined ? {} : { refuse }) });
}

function record(key: string, text: string): StreamRecord {
  return { data: Buffer.from(text), partitionKey: key };
}

interface Unpacked {
  readonly partitionKey: string;
  readonly explicitHashKey: string | undefined;
  readonly text: string;
  readonly shardId: string;
}

/** By another implementation, checksums included. */
function unpack({ data, partitionKey, sequenceNumber, shardId }: StoredRecord): readonly Unpacked[] {
  let unpacked: readonly Unpacked[] = [];
  const payload = {
    kinesisSchemaVersion: '1.0',
    partitionKey,
    sequenceNumber,
    data: data.toString('base64'),
    approximateArrivalTimestamp: 0,
  };
  deaggregateSync(payload, true, (error, found) => {
    if (error) throw error;
    unpacked = (found ?? []).map((user) => ({
      partitionKey: user.partitionKey,
      explicitHashKey: user.explicitPartitionKey,
      text: Buffer.from(user.data, 'base64').toString(),
      shardId,
    }));
  });
  return unpacked;
}

async function stored(of: EventStream): Promise<readonly StoredRecord[]> {
  const all: StoredRecord[] = [];
  for await (const item of of.readAll('s')) all.push(item);
  return all;
}

describe('aggregating', () => {
  it('packs records that an independent implementation unpacks, each with its partition key, in their order', async () => {
    const inner = stream();
    const outer = aggregating(inner, { hashKeys: 8 });
    const sent = Array.from({ length: 300 }, (_, index) => record(`key-${index % 40}`, `{"nr":${index},"ä":"€"}`));
    const results = await outer.put('s', sent, { timeoutMs });
    expect(results).toHaveLength(300);
    expect(results.every((result) => result.ok)).toBe(true);
    const packs = await stored(inner);
    expect(packs.length).toBeLessThanOrEqual(8);
    expect(packs[0]?.data.subarray(0, 4).toString('hex')).toBe('f3899ac2');
    const got = packs.flatMap(unpack);
    const ofKey = (items: readonly { partitionKey: string; text: string }[], key: string): readonly string[] =>
      items.filter((item) => item.partitionKey === key).map((item) => item.text);
    const wanted = sent.map(({ partitionKey, data }) => ({ partitionKey, text: data.toString() }));
    for (let key = 0; key < 40; key += 1) expect(ofKey(got, `key-${key}`)).toEqual(ofKey(wanted, `key-${key}`));
    expect(got).toHaveLength(300);
  });

  it('puts every record of a partition key on one shard, packed or alone, and says which by its hash key', async () => {
    const inner = stream();
    const outer = aggregating(inner, { hashKeys: 16 });
    for (const size of [1, 50, 3])
      await outer.put(
        's',
        Array.from({ length: size }, (_, index) => record(`key-${index}`, String(size))),
        { timeoutMs },
      );
    const got = (await stored(inner)).flatMap(unpack);
    const places = new Map<string, Set<string>>();
    for (const { partitionKey, shardId } of got)
      places.set(partitionKey, (places.get(partitionKey) ?? new Set()).add(shardId));
    for (const shardIds of places.values()) expect(shardIds.size).toBe(1);
    expect(new Set(got.map((item) => item.shardId)).size).toBe(shards);
    for (const { explicitHashKey, shardId } of got) {
      if (explicitHashKey === undefined) continue;
      expect(shardId).toBe(`shardId-${String((BigInt(explicitHashKey) * 4n) >> 128n).padStart(12, '0')}`);
    }
  });

  it('keeps within its size, and leaves larger records alone', async () => {
    const inner = stream();
    const maxBytes = 2000;
    const outer = aggregating(inner, { hashKeys: 1, maxBytes });
    const sent = Array.from({ length: 100 }, (_, index) => record(`k${index}`, 'x'.repeat(index * 40)));
    await outer.put('s', sent, { timeoutMs });
    const packs = await stored(inner);
    const packed = packs.filter(({ data }) => data.subarray(0, 4).toString('hex') === 'f3899ac2');
    expect(packed.length).toBeGreaterThan(0);
    for (const { data } of packed) expect(data.length).toBeLessThanOrEqual(maxBytes);
    expect(packs.flatMap(unpack).map((item) => item.text)).toEqual(sent.map(({ data }) => data.toString()));
  });

  it('gives each record the result of the pack it was in', async () => {
    const refused = { code: 'ProvisionedThroughputExceededException', message: 'slow down' };
    let packs = 0;
    const inner = stream(() => ((packs += 1) === 1 ? refused : undefined));
    const outer = aggregating(inner, { hashKeys: 1, maxBytes: 300 });
    const sent = Array.from({ length: 6 }, (_, index) => record(`k${index}`, 'x'.repeat(50)));
    const results = await outer.put('s', sent, { timeoutMs });
    const arrived = (await stored(inner)).flatMap(unpack).map((item) => item.partitionKey);
    expect(results.map((result) => result.ok)).toEqual(sent.map(({ partitionKey }) => arrived.includes(partitionKey)));
    expect(arrived.length).toBeGreaterThan(0);
    expect(arrived.length).toBeLessThan(6);
  });
});
