import { InputError, streamGoal, TransientError } from '@millrace/domain';
import type { EventStream, PutResult, StreamRecord } from '@millrace/event-stream';
import { StoredCatalogue } from '../storage/record-catalogues.js';
import type { BuiltRecord } from './build-records.js';
import { sendRecords, type SendOutcome } from './send-records.js';
import type { SendingGoal } from './sending-goal.js';

type Put = (records: readonly StreamRecord[]) => readonly PutResult[];

const accepted: PutResult = { ok: true, sequenceNumber: '1', shardId: 's' };
const acceptAll: Put = (records) => records.map(() => accepted);

function goalOn(put: Put): SendingGoal {
  const stream = { put: async (_name: string, records: readonly StreamRecord[]) => put(records) };
  const goal = streamGoal.parse({
    kind: 'stream',
    name: 'g',
    streamName: 's',
    segmentIds: ['019a0000-0000-7000-8000-000000000001'],
  });
  return {
    goalId: 'goal',
    workspaceId: 1,
    snapshotId: 'snapshot',
    recordVersion: '',
    consentObjectives: [],
    goal,
    // Only `put` is called.
    stream: stream as unknown as EventStream,
    mappedSegments: new Set(goal.segmentIds),
    catalogue: new StoredCatalogue(1, 'goal'),
    template: { render: () => '' },
    partitionKey: (state) => state.profileId,
    attributes: { properties: [], consent: false, attributeIndex: new Map() },
  };
}

function records(count: number, bytes = 10, attempts = 0): readonly BuiltRecord[] {
  return Array.from({ length: count }, (_, index) => ({
    data: Buffer.alloc(bytes),
    partitionKey: String(index),
    bytes,
    delivery: {
      goalId: 'goal',
      profileId: String(index),
      lane: 0,
      seq: '1',
      reasons: 1,
      segments: [],
      attempts,
      changedAtMs: 0,
      waitedMs: 0,
      place: '(0,1)',
      backfill: false,
      dueSinceMs: 0,
      erased: null,
    },
    kind: 'send',
    leaves: false,
  }));
}

async function send(put: Put, batch: readonly BuiltRecord[], mayStart = (): boolean => true): Promise<SendOutcome> {
  return sendRecords(goalOn(put), batch, { timeoutMs: 1000, mayStart, random: () => 0.5 });
}

describe('sendRecords', () => {
  it('keeps every request within 500 records and 10 MiB', async () => {
    const requests: number[] = [];
    const count: Put = (batch) => {
      requests.push(batch.length);
      return acceptAll(batch);
    };
    await send(count, records(1200));
    await send(count, records(25, 1024 * 1024));
    expect(requests).toEqual([500, 500, 200, 9, 9, 7]);
  });

  it('starts no request whose lanes may be lost before it ends', async () => {
    let allowed = 1;
    const outcome = await send(acceptAll, records(1000), () => allowed-- > 0);
    expect(outcome.acknowledged).toHaveLength(500);
    expect(outcome).toMatchObject({ failures: [], fault: undefined });
  });

  it('retries a refused record twice, each time later, and then gives it up', async () => {
    const refuse: Put = (batch) => batch.map(() => ({ ok: false, code: 'InternalFailure', message: 'no' }));
    const waits = [];
    for (const attempts of [0, 1, 2]) waits.push((await send(refuse, records(1, 10, attempts))).failures[0]?.retryInMs);
    expect(waits).toEqual([400, 800, undefined]);
  });

  it('does not retry what no retry helps', async () => {
    const outcome = await send(() => [{ ok: false, code: 'record-too-large', message: 'too large' }], records(1));
    expect(outcome.failures[0]?.retryInMs).toBeUndefined();
  });

  it('counts what the stream had no room for', async () => {
    const busy: PutResult = { ok: false, code: 'ProvisionedThroughputExceededException', message: 'slow down' };
    const outcome = await send((batch) => batch.map((_, index) => (index === 0 ? accepted : busy)), records(4));
    expect(outcome).toMatchObject({ throttled: 3, fault: undefined });
  });

  it('finds the one record a request is refused for', async () => {
    const outcome = await send((batch) => {
      if (batch.some((record) => record.partitionKey === '37'))
        throw new InputError('event-stream-refused', 'refused (ValidationException)');
      return acceptAll(batch);
    }, records(100));
    expect(outcome.acknowledged).toHaveLength(99);
    expect(outcome.failures.map((failure) => failure.profileId)).toEqual(['37']);
  });

  it('blames no record when the stream refuses all of them', async () => {
    const outcome = await send(() => {
      throw new InputError('event-stream-refused', 'refused (InvalidArgumentException)');
    }, records(100));
    expect(outcome).toMatchObject({ acknowledged: [], failures: [] });
    expect(outcome.fault).toBeInstanceOf(InputError);
  });

  it('keeps what was acknowledged before a request failed as a whole', async () => {
    let requests = 0;
    const outcome = await send((batch) => {
      requests += 1;
      if (requests === 2) throw new TransientError('event-stream-unavailable', 'no answer');
      return acceptAll(batch);
    }, records(1200));
    expect(outcome.acknowledged).toHaveLength(500);
    expect(outcome.fault).toBeInstanceOf(TransientError);
  });
});
