import { sql } from '@millrace/database';
import { InputError, TransientError } from '@millrace/domain';
import { waitFor } from '@millrace/testing';
import { FakeStream } from './fake-stream.js';
import { startPublisher, type RunningPublisher } from './start-publisher.js';
import { StreamWorkspace } from './stream-workspace.js';

const throttled = { code: 'ProvisionedThroughputExceededException', message: 'slow down' };
const internal = { code: 'InternalFailure', message: 'it broke' };

let workspace: StreamWorkspace;
let running: RunningPublisher | undefined;
let stream: FakeStream;
let segment: string;

beforeEach(async () => {
  workspace = await StreamWorkspace.create('delivery');
  segment = await workspace.segment('members');
  stream = new FakeStream();
});

afterEach(async () => {
  await running?.stop();
  running = undefined;
  await workspace.drop();
});

async function activated(goal: Partial<Parameters<StreamWorkspace['snapshot']>[0]> = {}): Promise<string> {
  const goalId = await workspace.activate(workspace.snapshot({ segmentIds: [segment], ...goal }));
  running ??= await startPublisher(workspace.url, stream);
  await running.wakeUps.wake('stream-lane', { version: 1 });
  await waitFor(() => workspace.quiet());
  return goalId;
}

const members = (count: number): Promise<readonly string[]> => workspace.members(segment, count);

const touched = { written: ['points'] } as const;

describe('a record the stream refuses', () => {
  it('is sent again, alone', async () => {
    await activated();
    const [good, bad] = (await members(2)) as [string, string];
    let refusals = 0;
    stream.judge = (record) => {
      if (record.profileId !== bad || refusals === 2) return undefined;
      refusals += 1;
      return throttled;
    };
    await workspace.database.transaction(async (tx) => {
      await workspace.change(good, touched, tx);
      await workspace.change(bad, touched, tx);
    });
    await waitFor(() => workspace.quiet());
    expect(refusals).toBe(2);
    expect(stream.of(good)).toHaveLength(1);
    expect(stream.of(bad)).toHaveLength(1);
  });

  it('is kept as failed with the reason once its retries are used up', async () => {
    const goalId = await activated({ retries: 1 });
    const [bad] = (await members(1)) as [string];
    stream.judge = () => internal;
    await workspace.change(bad, touched);
    await waitFor(async () => (await workspace.deliveries()).some((delivery) => delivery.state === 'failed'));
    expect(await workspace.deliveries()).toEqual([
      { goal_id: goalId, profile_id: bad, state: 'failed', attempts: 2, error_code: 'InternalFailure' },
    ]);
    expect(stream.attempts).toHaveLength(2);
  });

  it('is revived by a later change, which says all that was missed', async () => {
    await activated({ retries: 0 });
    const [bad] = (await members(1)) as [string];
    stream.judge = () => internal;
    await workspace.change(bad, { membership: { [segment]: 'exited' }, segments: [segment] });
    await waitFor(async () => (await workspace.deliveries()).some((delivery) => delivery.state === 'failed'));
    stream.judge = () => undefined;
    await workspace.change(bad, touched);
    await waitFor(() => workspace.quiet());
    expect(stream.of(bad)).toHaveLength(1);
    expect(stream.of(bad)[0]?.json).toMatchObject({
      segmentMembership: { ups: { [segment]: { status: 'exited' } } },
      millrace: { version: 3, reasons: ['segment', 'attribute'] },
    });
    expect(await workspace.deliveries()).toEqual([]);
  });

  it('holds back only its own profile, whose versions never go back', async () => {
    await activated({ retries: 20 });
    const ids = await members(20);
    // Every third try of every profile passes.
    const tries = new Map<string, number>();
    stream.judge = ({ profileId }) => {
      const count = (tries.get(profileId) ?? 0) + 1;
      tries.set(profileId, count);
      return count % 3 === 0 ? undefined : throttled;
    };
    for (let round = 0; round < 5; round += 1) for (const id of ids) await workspace.change(id, touched);
    await waitFor(() => workspace.quiet());
    for (const id of ids) {
      const versions = stream.of(id).map((record) => record.version);
      expect(versions).toEqual([...versions].sort((a, b) => a - b));
      expect(versions.at(-1)).toBe(6);
    }
  });

  it('does not hold up others while it waits', async () => {
    await activated({ retries: 20 });
    const [bad, good] = (await members(2)) as [string, string];
    stream.judge = (record) => (record.profileId === bad ? throttled : undefined);
    await workspace.change(bad, touched);
    await waitFor(() => stream.attempts.length > 0);
    await workspace.change(good, touched);
    await waitFor(() => stream.of(good).length === 1);
    expect(stream.of(bad)).toEqual([]);
  });
});

describe('a request that fails as a whole', () => {
  it('is sent again without using up retries', async () => {
    await activated({ retries: 0 });
    const ids = await members(3);
    let failures = 0;
    stream.before = () => {
      failures += 1;
      if (failures <= 3) throw new TransientError('event-stream-unavailable', 'no answer');
    };
    await workspace.database.transaction(async (tx) => {
      for (const id of ids) await workspace.change(id, touched, tx);
    });
    await waitFor(() => workspace.quiet());
    for (const id of ids) expect(stream.of(id)).toHaveLength(1);
  });

  it('may have been accepted: the record comes again with the same version', async () => {
    await activated();
    const [id] = (await members(1)) as [string];
    let failed = false;
    stream.after = () => {
      if (failed) return;
      failed = true;
      throw new TransientError('event-stream-unavailable', 'the answer was lost');
    };
    await workspace.change(id, touched);
    await waitFor(() => workspace.quiet());
    expect(stream.of(id).map((record) => record.version)).toEqual([2, 2]);
    expect(new Set(stream.of(id).map((record) => (record.json['millrace'] as { eventId: string }).eventId)).size).toBe(
      1,
    );
  });

  it('because of one poisoned record keeps that record, and lets the others pass', async () => {
    await activated({ retries: 0 });
    const ids = await members(12);
    const poisoned = ids[5] as string;
    stream.before = ({ records }) => {
      if (records.some((record) => record.profileId === poisoned))
        throw new InputError('event-stream-refused', 'refused (ValidationException)');
    };
    await workspace.database.transaction(async (tx) => {
      for (const id of ids) await workspace.change(id, touched, tx);
    });
    await waitFor(() => workspace.quiet());
    expect((await workspace.deliveries()).map((delivery) => delivery.profile_id)).toEqual([poisoned]);
    expect(stream.accepted).toHaveLength(11);
  });

  it('for a reason of the goal keeps everything due and shows the reason', async () => {
    const goalId = await activated({ retries: 0 });
    const [id] = (await members(1)) as [string];
    stream.before = () => {
      throw new InputError('stream-not-found', 'the stream "stream" does not exist');
    };
    await workspace.change(id, touched);
    const fault = async (): Promise<string | undefined> => {
      const { rows } = await workspace.database.query<{ code: string | null }>(
        sql`SELECT fault ->> 'code' AS code FROM publisher.goal WHERE goal_id = ${goalId}`,
      );
      return rows[0]?.code ?? undefined;
    };
    expect(await waitFor(fault)).toBe('stream-not-found');
    expect(await workspace.deliveries()).toMatchObject([{ profile_id: id, state: 'pending', attempts: 0 }]);
    stream.before = () => undefined;
    await waitFor(() => stream.of(id).length === 1);
    await waitFor(async () => (await fault()) === undefined);
  });
});

describe('a goal whose stream hangs', () => {
  it('delays no other goal', async () => {
    const hanging = await activated({ streamName: 'hanging' });
    await activated({ streamName: 'healthy' });
    const [first, second] = (await members(2)) as [string, string];
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    stream.before = async ({ stream: name }) => {
      if (name === 'hanging') await released;
    };
    try {
      for (const id of [first, second]) {
        await workspace.change(id, touched);
        await waitFor(() => stream.of(id).some((record) => record.stream === 'healthy'));
      }
      await waitFor(async () => (await workspace.deliveries()).every((delivery) => delivery.goal_id === hanging));
    } finally {
      release();
    }
    await waitFor(() => workspace.quiet());
    expect(stream.of(second)).toHaveLength(2);
  });
});

describe('a profile larger than a record may be', () => {
  it('is kept as failed with its size, and nothing else is held up', async () => {
    await activated({ maxRecordBytes: 1024 });
    const [large, small] = (await members(2)) as [string, string];
    await workspace.database.transaction(async (tx) => {
      await workspace.change(
        large,
        { properties: { 'person.name': 'x'.repeat(2000) }, written: ['person.name'], changed: ['person.name'] },
        tx,
      );
      await workspace.change(small, touched, tx);
    });
    await waitFor(() => workspace.quiet());
    expect(await workspace.deliveries()).toMatchObject([
      { profile_id: large, state: 'failed', error_code: 'record-too-large' },
    ]);
    expect(stream.of(small)).toHaveLength(1);
  });
});

describe('the partition key', () => {
  it('is an identity of the chosen namespace, or the profile id where there is none', async () => {
    await activated({ partitionKey: { kind: 'identity', namespace: 'email' } });
    const known = await workspace.profile({
      membership: { [segment]: 'realized' },
      identity: ['email', 'known@example.com'],
    });
    const [unknown] = (await members(1)) as [string];
    await workspace.change(known, touched);
    await workspace.change(unknown, touched);
    await waitFor(() => workspace.quiet());
    expect(stream.of(known)[0]?.partitionKey).toBe('known@example.com');
    expect(stream.of(unknown)[0]?.partitionKey).toBe(unknown);
  });
});

describe('the figures', () => {
  it('count records, bytes, retries and what was throttled, by goal', async () => {
    const goalId = await activated();
    const [id] = (await members(1)) as [string];
    stream.judge = (_record, attempt) =>
      attempt <= 2 ? { code: 'ProvisionedThroughputExceededException', message: 'no room' } : undefined;
    await workspace.change(id, touched);
    await waitFor(() => stream.of(id).length === 1);
    const [record] = stream.of(id);
    const bytes = Buffer.byteLength(record?.text ?? '') + Buffer.byteLength(record?.partitionKey ?? '');
    const expected = { records_total: 1, record_bytes_total: bytes, retries_total: 2, throttled_total: 2 };
    await waitFor(async () => {
      const text = (await running?.metrics.registry.metrics()) ?? '';
      return Object.entries(expected).every(([name, value]) =>
        text.includes(`millrace_stream_${name}{goal="${goalId}",service="stream-publisher"} ${value}\n`),
      );
    });
  });

  it('say what was sent, what waits and what was given up', async () => {
    const goalId = await activated({ retries: 0 });
    const [good, bad] = (await members(2)) as [string, string];
    stream.judge = (record) => (record.profileId === bad ? internal : undefined);
    await workspace.change(good, touched);
    await workspace.change(bad, touched);
    await waitFor(() => workspace.quiet());
    const text = await waitFor(async () => {
      const metrics = await running?.metrics.registry.metrics();
      return metrics?.includes(`state="failed",service="stream-publisher"} 1`) === true ? metrics : undefined;
    });
    expect(text).toContain(`millrace_stream_records_total{goal="${goalId}",service="stream-publisher"} 1`);
    expect(text).toContain(`millrace_stream_dead_letters_total{goal="${goalId}",service="stream-publisher"} 1`);
    expect(text).toContain(`millrace_stream_lag_seconds{goal="${goalId}",service="stream-publisher"} 0`);
  });
});
