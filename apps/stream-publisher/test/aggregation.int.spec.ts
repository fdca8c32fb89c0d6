import { createMemoryEventStream, type EventStream } from '@millrace/event-stream';
import { waitFor } from '@millrace/testing';
import { deaggregateSync } from 'aws-kinesis-agg';
import { startPublisher, type RunningPublisher } from './start-publisher.js';
import { StreamWorkspace } from './stream-workspace.js';

let workspace: StreamWorkspace;
let running: RunningPublisher;
let stream: EventStream;
let segment: string;
let throttled = 0;

beforeAll(async () => {
  workspace = await StreamWorkspace.create('aggregation');
  segment = await workspace.segment('members');
  let calls = 0;
  stream = createMemoryEventStream({
    streams: { stream: 3 },
    refuse: () => {
      calls += 1;
      if (calls % 4 !== 0) return undefined;
      throttled += 1;
      return { code: 'ProvisionedThroughputExceededException', message: 'slow down' };
    },
  });
  await workspace.activate(workspace.snapshot({ segmentIds: [segment], aggregation: { hashKeys: 12 }, retries: 20 }));
  running = await startPublisher(workspace.url, stream);
  await waitFor(() => workspace.quiet());
});

afterAll(async () => {
  await running?.stop();
  await workspace.drop();
});

interface Unpacked {
  readonly profileId: string;
  readonly version: number;
}

/** Records of the stream as a consumer sees them, and how many arrived packed. */
async function consume(): Promise<{ readonly records: readonly Unpacked[]; readonly packs: number }> {
  const records: Unpacked[] = [];
  let packs = 0;
  for await (const { data, partitionKey, sequenceNumber } of stream.readAll('stream')) {
    if (data.subarray(0, 4).toString('hex') === 'f3899ac2') packs += 1;
    const payload = {
      kinesisSchemaVersion: '1.0',
      partitionKey,
      sequenceNumber,
      data: data.toString('base64'),
      approximateArrivalTimestamp: 0,
    };
    deaggregateSync(payload, true, (error, found) => {
      if (error) throw error;
      for (const user of found ?? [])
        records.push((JSON.parse(Buffer.from(user.data, 'base64').toString()) as { millrace: Unpacked }).millrace);
    });
  }
  return { records, packs };
}

describe('a goal that packs its records', () => {
  it('sends the last state of every profile, versions in order, through throttling', async () => {
    const ids: string[] = [];
    for (let index = 0; index < 60; index += 1)
      ids.push(await workspace.profile({ membership: { [segment]: 'realized' } }));
    for (let round = 0; round < 4; round += 1)
      await workspace.database.transaction(async (tx) => {
        for (const id of ids) await workspace.change(id, { written: ['points'] }, tx);
      });
    await waitFor(() => workspace.quiet());
    const { records, packs } = await consume();
    expect(packs).toBeGreaterThan(0);
    expect(throttled).toBeGreaterThan(0);
    for (const id of ids) {
      const versions = records.filter((record) => record.profileId === id).map((record) => record.version);
      expect(versions).toEqual([...versions].sort((a, b) => a - b));
      expect(versions.at(-1)).toBe(5);
    }
  });
});
