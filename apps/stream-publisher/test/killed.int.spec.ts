import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { sealEndpoint } from '@millrace/crypto';
import { sql } from '@millrace/database';
import { createKinesisEventStream, type EventStream } from '@millrace/event-stream';
import { awsAccess, createTestStream, testRedisUrl, testUrl, waitFor } from '@millrace/testing';
import { HeldSettling } from './held-settling.js';
import { StreamWorkspace } from './stream-workspace.js';

const sealingKey = Buffer.alloc(32, 9);
const children: ChildProcess[] = [];
let workspace: StreamWorkspace;
let segment: string;
let streamName: string;
let stream: EventStream;
let env: Record<string, string>;
let endpoint: Parameters<typeof sealEndpoint>[0];

beforeAll(async () => {
  workspace = await StreamWorkspace.create('killed');
  segment = await workspace.segment('members');
  const { accessKeyId, secretAccessKey } = awsAccess('kinesis');
  endpoint = {
    region: 'us-east-1',
    endpoint: testUrl('kinesis'),
    credentials: { kind: 'access-key', accessKeyId, secretAccessKey },
  };
  stream = createKinesisEventStream(endpoint);
  streamName = (await createTestStream('killed')).stream;
  const snapshot = workspace.snapshot({ segmentIds: [segment], streamName, retries: 20 });
  await workspace.activate({ ...snapshot, endpoint: sealEndpoint(endpoint, sealingKey, snapshot) });
  env = {
    MILLRACE_DATABASE_URL: workspace.url,
    MILLRACE_REDIS_URL: await testRedisUrl(),
    MILLRACE_PORT: '0',
    MILLRACE_SEALING_KEY: sealingKey.toString('base64'),
    MILLRACE_LOG_LEVEL: 'warn',
    // So long that a busy machine does not make a request late: one accepted after it was given up may invert records.
    MILLRACE_STREAM_REQUEST_TIMEOUT_MS: '3000',
    MILLRACE_STREAM_LEASE_MS: '4500',
  };
});

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  stream.close();
  await workspace.drop();
});

/** The built service, as a process of its own. */
function startService(more: Readonly<Record<string, string>> = {}): ChildProcess {
  const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
  const child = spawn(process.execPath, [main], {
    env: { ...process.env, ...env, ...more },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  children.push(child);
  return child;
}

/** How many lanes each living owner holds, most first. */
async function lanesByOwner(): Promise<readonly number[]> {
  const { rows } = await workspace.database.query<{ lanes: number }>(sql`
    SELECT count(*)::int AS lanes FROM work.lease WHERE resource LIKE 'lane:%' AND expires_at > clock_timestamp() GROUP BY owner ORDER BY 1 DESC`);
  return rows.map((row) => row.lanes);
}

async function versionsOnStream(name = streamName): Promise<ReadonlyMap<string, readonly number[]>> {
  const versions = new Map<string, number[]>();
  for await (const record of stream.readAll(name)) {
    const { profileId, version } = (
      JSON.parse(record.data.toString()) as { millrace: { profileId: string; version: number } }
    ).millrace;
    versions.set(profileId, [...(versions.get(profileId) ?? []), version]);
  }
  return versions;
}

describe('two publishers, one of them killed in the middle of its work', () => {
  it('lose nothing, and no profile goes back', async () => {
    const [doomed] = [startService(), startService()];
    await waitFor(async () => (await lanesByOwner()).join() === '128,128', undefined, 'both to hold half of the lanes');

    const ids: string[] = [];
    for (let index = 0; index < 100; index += 1)
      ids.push(await workspace.profile({ membership: { [segment]: 'realized' } }));
    const changeAll = async (): Promise<void> => {
      for (const id of ids) await workspace.change(id, { written: ['points'] });
    };
    await changeAll();
    await waitFor(async () => (await versionsOnStream()).size > 20);
    const writing = (async () => {
      for (let round = 0; round < 4; round += 1) await changeAll();
    })();
    doomed?.kill('SIGKILL');
    await writing;
    await waitFor(async () => (await lanesByOwner())[0] === 256, undefined, 'the survivor to hold every lane');
    await waitFor(() => workspace.quiet());

    const versions = await versionsOnStream();
    for (const id of ids) {
      const seen = versions.get(id) ?? [];
      expect(seen).toEqual([...seen].sort((a, b) => a - b));
      expect(seen.at(-1)).toBe(6);
    }
  });

  it('a service that is asked to stop hands its lanes over at once', async () => {
    const leaving = children[1] as ChildProcess;
    startService();
    await waitFor(async () => (await lanesByOwner()).join() === '128,128');
    leaving.kill('SIGTERM');
    const [code] = (await once(leaving, 'exit')) as [number | null];
    expect(code).toBe(0);
    // Given back, not run out: nothing of the leaver's is held any more.
    expect(await lanesByOwner()).toHaveLength(1);
    const id = await workspace.profile({ membership: { [segment]: 'realized' } });
    await workspace.change(id, { written: ['points'] });
    await waitFor(async () => (await versionsOnStream()).has(id));
  });
});

describe('a publisher killed after the stream acknowledged, before that was written down', () => {
  it('leaves the changes to its successor, who sends them again with the same version', async () => {
    for (const child of children) child.kill('SIGKILL');
    const doomed = startService();
    await waitFor(async () => (await lanesByOwner()).join() === '256');
    await waitFor(() => workspace.quiet());
    const id = await workspace.profile({ membership: { [segment]: 'realized' } });
    const held = await HeldSettling.begin(workspace.database);
    try {
      await workspace.change(id, { written: ['points'] });
      await waitFor(async () => (await versionsOnStream()).has(id));
      await waitFor(() => held.waiting());
      doomed.kill('SIGKILL');
      await held.breakOff();
    } finally {
      await held.end();
    }
    expect(await workspace.quiet()).toBe(false);
    startService();
    await waitFor(() => workspace.quiet());
    expect((await versionsOnStream()).get(id)).toEqual([2, 2]);
  });
});

describe('a publisher killed in the middle of a backfill', () => {
  it('is followed by one that goes on where it was, and every member is sent', async () => {
    for (const child of children) child.kill('SIGKILL');
    const { database } = workspace;
    const many = await workspace.segment('many');
    await database.query(sql`
      WITH made AS (
        INSERT INTO profile.profile (id, workspace_id, domain_group_id, properties, version)
        SELECT gen_random_uuid(), ${workspace.workspaceId}, 1, '{}', 1 FROM generate_series(1, 3000) RETURNING id
      )
      INSERT INTO profile.membership (profile_id, segment_id, status) SELECT id, ${many}, 'realized' FROM made`);
    // From the five hundredth member on, whoever queues them waits until we let go.
    await database.query(sql`
      CREATE FUNCTION publisher.wait_here() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN PERFORM pg_advisory_xact_lock_shared(4242); RETURN NEW; END'`);
    await database.query(sql`
      CREATE TRIGGER wait_here BEFORE UPDATE ON publisher.backfill
      FOR EACH ROW WHEN (NEW.members >= 500) EXECUTE FUNCTION publisher.wait_here()`);
    const held = await hold(4242);
    const name = (await createTestStream('killed-backfill')).stream;
    const snapshot = workspace.snapshot({ segmentIds: [many], streamName: name, retries: 20 });
    const goalId = await workspace.activate({ ...snapshot, endpoint: sealEndpoint(endpoint, sealingKey, snapshot) });
    const slices = { MILLRACE_STREAM_BACKFILL_SLICE: '50' };
    const doomed = startService(slices);
    await waitFor(async () => (await versionsOnStream(name)).size >= 450);
    await waitFor(async () => {
      const { rows } = await database.query(
        sql`SELECT FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()`,
      );
      return rows.length > 0;
    });
    doomed.kill('SIGKILL');
    await held();
    startService(slices);
    await waitFor(() => workspace.quiet());
    expect((await versionsOnStream(name)).size).toBe(3000);
    const { rows } = await database.query<{ state: string; members: number }>(
      sql`SELECT state, members::int FROM publisher.backfill WHERE goal_id = ${goalId}`,
    );
    expect(rows).toEqual([{ state: 'done', members: 3000 }]);
  });
});

/** Takes an advisory lock; resolves with what lets go of it. */
async function hold(key: number): Promise<() => Promise<void>> {
  let letGo: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (letGo = resolve));
  let taken: () => void = () => undefined;
  const locked = new Promise<void>((resolve) => (taken = resolve));
  const holding = workspace.database.transaction(async (tx) => {
    await tx.query(sql`SELECT pg_advisory_xact_lock(${key})`);
    taken();
    await released;
  });
  await Promise.race([locked, holding]);
  return async () => {
    letGo();
    await holding;
  };
}
