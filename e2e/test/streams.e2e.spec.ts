import { waitFor } from '@millrace/testing';
import type { Identified } from './api.js';
import { Millrace } from './millrace.js';

interface StreamView {
  readonly state: string;
  readonly waiting: { readonly changes: number; readonly backfill: number; readonly deadLetters: number };
  readonly backfills: readonly { readonly state: string }[];
  readonly totals: Readonly<Record<string, number>>;
}

interface DeadLetterList {
  readonly items: readonly { readonly profileId: string; readonly reason: string }[];
}

interface Sent {
  readonly note?: string;
  readonly segmentMembership: { readonly ups: Readonly<Record<string, { readonly status: string }>> };
  readonly identityMap: Readonly<Record<string, readonly { readonly id: string }[]>>;
  readonly millrace: { readonly profileId: string; readonly version: number; readonly erased: boolean };
}

/** One stream goal, and everything a person can do about it, through the API alone. */
describe('a stream', () => {
  const workspace = '/workspaces/streams';
  const streamName = 'profile-changes';
  let millrace: Millrace;
  let goal: string;
  let segmentId: string;
  let batches = 0;

  beforeAll(async () => {
    millrace = await Millrace.start('streams');
    const { api, stack, stream } = millrace;
    await stream.ensureStream(streamName, 2);
    await api.post('/workspaces', { name: 'streams' });
    await api.post(`${workspace}/properties`, { name: 'note' });
    const everyone = { name: 'Everyone', rule: { kind: 'all', rules: [] } };
    segmentId = (await api.post<Identified>(`${workspace}/segments`, everyone)).id;
    const { id: connection } = await api.post<Identified>(`${workspace}/connections`, {
      kind: 'kinesis',
      name: 'Stream',
      endpoint: stack.urls.kinesis,
      credentials: { kind: 'access-key', ...stack.credentials },
      consentObjectives: ['news'],
    });
    const saved = await api.post<Identified & { check: { ok: boolean; permissions: { findings: object[] } } }>(
      `${workspace}/connections/${connection}/goals`,
      {
        kind: 'stream',
        name: 'Changes',
        streamName,
        segmentIds: [segmentId],
        properties: ['note'],
        envelope: true,
        maxRecordBytes: 1024,
      },
    );
    expect(saved.check.ok).toBe(true);
    goal = `${workspace}/goals/${saved.id}`;
    await waitFor(async () => (await look()).backfills.every((backfill) => backfill.state === 'done'));
  });

  afterAll(async () => {
    await millrace?.stop();
  });

  async function look(): Promise<StreamView> {
    return await millrace.api.get<StreamView>(`${goal}/stream`);
  }

  /** Says something of a person; returns the profile's id. */
  async function say(person: string, about: { readonly note?: string; readonly news?: boolean }): Promise<string> {
    const { note, news } = about;
    const update = {
      identities: [{ namespace: 'email', value: `${person}@example.com` }],
      properties: note === undefined ? [] : [{ property: 'note', value: note }],
      consent: news === undefined ? [] : [{ objective: 'news', granted: news }],
    };
    const path = `${workspace}/ingestion/batches`;
    const batchId = `batch-${(batches += 1)}`;
    const { items } = await millrace.api.post<{ items: { profileId: string }[] }>(path, { batchId, updates: [update] });
    return items[0]?.profileId ?? '';
  }

  async function recordsOf(profileId: string): Promise<readonly Sent[]> {
    const records: Sent[] = [];
    for await (const { data } of millrace.stream.readAll(streamName)) {
      const record = JSON.parse(data.toString()) as Sent;
      if (record.millrace.profileId === profileId) records.push(record);
    }
    return records;
  }

  /** The profile's records, once there are as many. */
  async function sent(profileId: string, count: number): Promise<readonly Sent[]> {
    return await waitFor(async () => {
      const records = await recordsOf(profileId);
      return records.length >= count && records;
    });
  }

  it('withholds who does not consent, sends who does, takes back who does no longer, and forgets who is erased', async () => {
    const silent = await say('silent', { note: 'private' });
    await waitFor(async () => ((await look()).totals['withheld'] ?? 0) > 0);
    const ada = await say('ada', { note: 'first', news: true });
    await sent(ada, 1);
    await say('ada', { news: false });
    await sent(ada, 2);
    await say('ada', { note: 'second', news: true });
    await sent(ada, 3);
    await millrace.api.call('DELETE', `${workspace}/profiles/${ada}`);
    const records = await sent(ada, 4);
    expect(records.map((record) => record.note)).toEqual(['first', undefined, 'second', undefined]);
    const statuses = records.map((record) => record.segmentMembership.ups[segmentId]?.status);
    expect(statuses).toEqual(['realized', 'exited', 'realized', 'exited']);
    expect(records.map((record) => record.millrace.erased)).toEqual([false, false, false, true]);
    expect(records[3]?.identityMap).toEqual({ email: [{ id: 'ada@example.com' }] });
    expect(await recordsOf(silent)).toEqual([]);
    const explained = await millrace.api.get<{ decision: string }>(`${goal}/stream/profiles/${silent}`);
    expect(explained.decision).toBe('withheld');
    await waitFor(async () => {
      const { totals } = await look();
      return totals['records'] === 4 && totals['withdrawn'] === 1 && totals['erased'] === 1;
    });
  });

  it('keeps what is too large, shows why, and sends it when the goal allows it and it is replayed', async () => {
    const bob = await say('bob', { note: 'x'.repeat(2000), news: true });
    const letters = await waitFor(async () => {
      const { items } = await millrace.api.get<DeadLetterList>(`${goal}/stream/dead-letters`);
      return items.length > 0 && items;
    });
    expect(letters).toMatchObject([{ profileId: bob, reason: 'record-too-large' }]);
    const none = await millrace.api.get<DeadLetterList>(`${goal}/stream/dead-letters?reason=InternalFailure`);
    expect(none.items).toEqual([]);
    const explained = await millrace.api.get<{ bytes: number }>(`${goal}/stream/profiles/${bob}`);
    expect(explained.bytes).toBeGreaterThan(2000);
    await millrace.api.patch(goal, { maxRecordBytes: 4096 });
    await millrace.api.post(`${goal}/stream/dead-letters/replay`, { profileIds: [bob] });
    const [record] = await sent(bob, 1);
    expect(record?.note).toHaveLength(2000);
    await waitFor(async () => (await look()).waiting.deadLetters === 0);
  });

  it('collects while it is paused, and sends each profile once when it is resumed', async () => {
    const eve = await say('eve', { note: '0', news: true });
    await sent(eve, 1);
    await millrace.api.post(`${goal}/stream/pause`);
    await waitFor(async () => (await look()).state === 'paused');
    for (const note of ['1', '2', '3']) await say('eve', { note });
    await waitFor(async () => (await look()).waiting.changes === 1);
    await millrace.api.post(`${goal}/stream/resume`);
    await sent(eve, 2);
    await waitFor(async () => (await look()).waiting.changes === 0);
    expect((await recordsOf(eve)).map((record) => record.note)).toEqual(['0', '3']);
  });

  it('is gone with its goal', async () => {
    await millrace.api.call('DELETE', goal);
    const { code } = await millrace.api.refusal(look());
    expect(code).toBe('goal-not-found');
  });
});
