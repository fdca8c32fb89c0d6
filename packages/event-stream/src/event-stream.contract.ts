import { randomBytes } from 'node:crypto';
import { InputError } from '@millrace/domain';
import type { EventStream, StoredRecord, StreamRecord } from './event-stream.js';

export interface EventStreamUnderTest {
  readonly events: EventStream;
  /** Makes an empty stream and returns its name. */
  readonly newStream: (shards: number) => Promise<string>;
}

/** What every driver keeps to; the driver is made with `limits: { recordBytes: 65_536 }`. */
export function eventStreamContract(driver: string, setUp: () => Promise<EventStreamUnderTest>): void {
  describe(`${driver} keeps the contract of an event stream`, () => {
    const soon = { timeoutMs: 10_000 };
    let events: EventStream;
    let newStream: (shards: number) => Promise<string>;

    beforeAll(async () => {
      ({ events, newStream } = await setUp());
    });
    afterAll(() => events.close());

    it('describes a stream by its open shards', async () => {
      expect(await events.describe(await newStream(3))).toEqual({ shards: 3 });
    });

    it('puts records and reads them back as they were', async () => {
      const stream = await newStream(1);
      const data = [Buffer.from('{"a":"ä"}'), randomBytes(50_000), Buffer.from([0])];
      const results = await events.put(
        stream,
        data.map((one, index) => ({ data: one, partitionKey: `k${index}` })),
        soon,
      );
      expect(results).toMatchObject([{ ok: true }, { ok: true }, { ok: true }]);
      const stored = await toArray(events.readAll(stream));
      expect(stored.map((record) => record.data.toString('hex'))).toEqual(data.map((one) => one.toString('hex')));
      expect(stored.map((record) => record.partitionKey)).toEqual(['k0', 'k1', 'k2']);
    });

    it('tells for each record its shard and a sequence number that grows within the shard', async () => {
      const stream = await newStream(2);
      const records = numbered(40);
      const results = [
        ...(await events.put(stream, records.slice(0, 20), soon)),
        ...(await events.put(stream, records.slice(20), soon)),
      ];
      const shards = new Map<string, bigint>();
      for (const result of results) {
        if (!result.ok) throw new Error(result.message);
        const sequence = BigInt(result.sequenceNumber);
        expect(sequence).toBeGreaterThan(shards.get(result.shardId) ?? -1n);
        shards.set(result.shardId, sequence);
      }
      expect(shards.size).toBe(2);
      expect((await toArray(events.readAll(stream))).length).toBe(40);
    });

    it('keeps records of one partition key in their order, in one shard', async () => {
      const stream = await newStream(4);
      for (let turn = 0; turn < 5; turn += 1) {
        await events.put(
          stream,
          ['a', 'b', 'c'].map((partitionKey) => ({ data: Buffer.from(`${partitionKey}${turn}`), partitionKey })),
          soon,
        );
      }
      const stored = await toArray(events.readAll(stream));
      for (const key of ['a', 'b', 'c']) {
        const mine = stored.filter((record) => record.partitionKey === key);
        expect(mine.map((record) => record.data.toString())).toEqual([0, 1, 2, 3, 4].map((turn) => `${key}${turn}`));
        expect(new Set(mine.map((record) => record.shardId)).size).toBe(1);
      }
    });

    it('takes 500 records at once, and no more', async () => {
      const stream = await newStream(1);
      expect((await events.put(stream, numbered(500), soon)).every((result) => result.ok)).toBe(true);
      await expect(events.put(stream, numbered(501), soon)).rejects.toThrow('use splitBatches');
    });

    it('answers for a record that is too large without holding up the others', async () => {
      const stream = await newStream(1);
      const records = [...numbered(1), { data: Buffer.alloc(70_000), partitionKey: 'large' }, ...numbered(1)];
      const results = await events.put(stream, records, soon);
      expect(results).toMatchObject([{ ok: true }, { ok: false, code: 'record-too-large' }, { ok: true }]);
      expect((await toArray(events.readAll(stream))).length).toBe(2);
      expect(await events.put(stream, records.slice(1, 2), soon)).toMatchObject([
        { ok: false, code: 'record-too-large' },
      ]);
    });

    it('does nothing for no records', async () => {
      expect(await events.put(await newStream(1), [], soon)).toEqual([]);
    });

    it('refuses a partition key of more than 256 characters', async () => {
      const stream = await newStream(1);
      const put = events.put(stream, [{ data: Buffer.from('x'), partitionKey: 'k'.repeat(257) }], soon);
      await expect(put).rejects.toBeInstanceOf(InputError);
      expect(
        (await events.put(stream, [{ data: Buffer.from('x'), partitionKey: 'k'.repeat(256) }], soon))[0],
      ).toMatchObject({ ok: true });
    });

    it('finds a stream, and says what it could not verify', async () => {
      const stream = await newStream(1);
      expect(await events.check(stream)).toMatchObject({ resource: stream, missing: [] });
      expect(await toArray(events.readAll(stream))).toEqual([]);
    });

    it.each([
      ['describe', async (name) => events.describe(name)],
      ['put', async (name) => events.put(name, numbered(1), soon)],
      ['check', async (name) => events.check(name)],
      ['readAll', async (name) => toArray(events.readAll(name))],
    ] satisfies [string, (name: string) => Promise<unknown>][])(
      'names the missing stream: %s',
      async (_method, call) => {
        const calling = call('no-such-stream');
        await expect(calling).rejects.toBeInstanceOf(InputError);
        await expect(calling).rejects.toMatchObject({
          code: 'stream-not-found',
          message: expect.stringContaining('"no-such-stream"'),
        });
      },
    );
  });
}

export async function toArray(records: AsyncIterable<StoredRecord>): Promise<StoredRecord[]> {
  const all: StoredRecord[] = [];
  for await (const record of records) all.push(record);
  return all;
}

/** So many records, each with a key of its own. */
export function numbered(count: number): StreamRecord[] {
  return Array.from({ length: count }, (_, index) => ({
    data: Buffer.from(`{"n":${index}}`),
    partitionKey: `key-${index}`,
  }));
}
