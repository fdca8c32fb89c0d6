import { awsAccess, createTestStream, testUrl } from '@millrace/testing';
import { deaggregateSync } from 'aws-kinesis-agg';
import { aggregating, createKinesisEventStream, type EventStream } from '../src/index.js';

let kinesis: EventStream;
let streamName: string;

beforeAll(async () => {
  const { accessKeyId, secretAccessKey } = awsAccess('kinesis');
  const credentials = { kind: 'access-key', accessKeyId, secretAccessKey } as const;
  kinesis = createKinesisEventStream({ region: 'us-east-1', endpoint: testUrl('kinesis'), credentials });
  streamName = (await createTestStream('aggregating', 2)).stream;
});

afterAll(() => kinesis?.close());

it('a service takes packs, puts each where its hash key says, and consumers get every record', async () => {
  const sent = Array.from({ length: 200 }, (_, index) => ({
    data: Buffer.from(`{"nr":${index}}`),
    partitionKey: `profile-${index % 50}`,
  }));
  const results = await aggregating(kinesis, { hashKeys: 8 }).put(streamName, sent, { timeoutMs: 10_000 });
  expect(results.filter((result) => result.ok)).toHaveLength(200);
  const got = new Map<string, string[]>();
  const shardOf = new Map<string, string>();
  for await (const { data, partitionKey, sequenceNumber, shardId } of kinesis.readAll(streamName)) {
    const payload = {
      kinesisSchemaVersion: '1.0',
      partitionKey,
      sequenceNumber,
      data: data.toString('base64'),
      approximateArrivalTimestamp: 0,
    };
    deaggregateSync(payload, true, (error, found) => {
      if (error) throw error;
      for (const user of found ?? []) {
        const texts = got.get(user.partitionKey) ?? [];
        got.set(user.partitionKey, [...texts, Buffer.from(user.data, 'base64').toString()]);
        shardOf.set(user.partitionKey, shardId);
      }
    });
  }
  for (let key = 0; key < 50; key += 1)
    expect(got.get(`profile-${key}`)).toEqual([0, 50, 100, 150].map((round) => `{"nr":${round + key}}`));
  expect(new Set(shardOf.values()).size).toBe(2);
  sent.forEach(({ partitionKey }, index) => {
    expect(results[index]).toMatchObject({ ok: true, shardId: shardOf.get(partitionKey) });
  });
});
