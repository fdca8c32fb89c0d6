import { gzipSync } from 'node:zlib';
import { FaultProxy, waitFor } from '@millrace/testing';
import type { GoalView } from './api.js';
import { Millrace } from './millrace.js';
import { People } from './people.js';
import { ownKeys, strangersKeys } from './pgp-keys.js';
import { encrypt } from './sample.js';

const header = 'e-mail,name,points\n';
const good = `${header}ada@example.org,Ada,1\nbob@example.org,Bob,2\n`;
const goodProfiles = { 'ada@example.org': { name: 'Ada', points: 1 }, 'bob@example.org': { name: 'Bob', points: 2 } };

describe('bad input', () => {
  let millrace: Millrace;

  beforeAll(async () => {
    millrace = await Millrace.start('bad-input');
  });

  afterAll(async () => {
    await millrace?.stop();
  });

  /** The goal failed for this reason, told in words that name all of `named`; and nothing was applied. */
  async function expectFailure(
    people: People,
    goal: GoalView,
    code: string,
    ...named: readonly string[]
  ): Promise<void> {
    expect(goal).toMatchObject({ state: 'failed', error: { code } });
    for (const name of named) expect(`${goal.error?.message} ${goal.error?.at}`).toContain(name);
    expect(await people.profiles()).toEqual({});
  }

  /** After what was wrong is put right. */
  async function expectNextRunWorks(people: People): Promise<void> {
    expect(await people.import()).toMatchObject({ state: 'succeeded', counts: { rowsRead: 2, created: 2 } });
    expect(await people.profiles()).toEqual(goodProfiles);
  }

  describe('a connection that cannot work', () => {
    it('fails the run when the access key id is unknown, and the test of the connection says so too', async () => {
      const credentials = { kind: 'access-key', accessKeyId: 'AKIAUNKNOWN', secretAccessKey: 'not-it' };
      const people = await People.prepare(millrace, 'wrong-key-id', { connection: { credentials } });
      await expectRefusedCredentials(people);
    });

    it('fails the run when the secret key is wrong', async () => {
      // The stand-in takes every secret: the proxy answers as S3 does to a signature made with a wrong one.
      const proxy = await FaultProxy.start(millrace.stack.urls.s3);
      const body = '<Error><Code>SignatureDoesNotMatch</Code><Message>The signature does not match.</Message></Error>';
      proxy.inject({ when: () => true, times: 1000, fault: { kind: 'status', status: 403, body } });
      const people = await People.prepare(millrace, 'wrong-secret', { connection: { endpoint: proxy.url } });
      await expectRefusedCredentials(people);
      await proxy.stop();
    });

    async function expectRefusedCredentials(people: People): Promise<void> {
      await people.put('people.csv', good);
      await expectFailure(people, await people.import(), 'credentials-refused', people.bucket, 'credentials');
      const findings = JSON.stringify(await tried(people));
      expect(findings).toContain('"ok":false');
      expect(findings).toMatch(/credentials/);
      const credentials = { kind: 'access-key', ...millrace.stack.credentials };
      const change = { credentials, endpoint: millrace.stack.urls.s3 };
      await millrace.api.patch(`${people.path}/connections/${people.connectionId}`, change);
      await expectNextRunWorks(people);
    }

    it('fails the run when the bucket does not exist, naming it', async () => {
      const source = { bucket: 'no-such-bucket', directory: 'in', pattern: { kind: 'every' } };
      const people = await People.prepare(millrace, 'wrong-bucket', { goal: { source } });
      await people.put('people.csv', good);
      await expectFailure(people, await people.import(), 'bucket-not-found', 'no-such-bucket');
      expect(await tried(people)).toMatchObject({ ok: false });
      await millrace.api.patch(`${people.path}/goals/${people.goalId}`, {
        source: { ...source, bucket: people.bucket },
      });
      await expectNextRunWorks(people);
    });

    it('fails an export to a bucket that does not exist, after the import before it was applied', async () => {
      const people = await People.prepare(millrace, 'wrong-target');
      await people.put('people.csv', good);
      const { id: segmentId } = await millrace.api.post<{ id: string }>(`${people.path}/segments`, {
        name: 'everyone',
        rule: { kind: 'all', rules: [] },
      });
      const goals = `${people.path}/connections/${people.connectionId}/goals`;
      const { id: goalId } = await millrace.api.post<{ id: string }>(goals, {
        kind: 'export-profiles',
        name: 'Export everyone',
        segmentId,
        target: { bucket: 'no-such-bucket' },
        columns: [{ header: 'E-mail', source: { kind: 'identity', namespace: 'email' } }],
      });
      const run = await people.run();
      expect(run.state).toBe('failed');
      expect(run.goals).toMatchObject([
        { state: 'succeeded' },
        { state: 'failed', error: { code: 'bucket-not-found' } },
      ]);
      expect(run.goals[1]?.error?.message).toContain('no-such-bucket');
      expect(await people.profiles()).toEqual(goodProfiles);
      await millrace.api.patch(`${people.path}/goals/${goalId}`, { target: { bucket: people.bucket } });
      expect(await people.run()).toMatchObject({ state: 'succeeded', goals: [{}, { counts: { rows: 2 } }] });
    });

    it('keeps changes for a stream that does not exist until it does, and tells so when the connection is tried', async () => {
      const people = await People.prepare(millrace, 'wrong-stream');
      const { id: segmentId } = await millrace.api.post<{ id: string }>(`${people.path}/segments`, {
        name: 'everyone',
        rule: { kind: 'all', rules: [] },
      });
      const { id } = await millrace.api.post<{ id: string }>(`${people.path}/connections`, {
        kind: 'kinesis',
        name: 'Stream',
        endpoint: millrace.stack.urls.kinesis,
        credentials: { kind: 'access-key', ...millrace.stack.credentials },
      });
      await millrace.api.post(`${people.path}/connections/${id}/goals`, {
        kind: 'stream',
        name: 'Changes',
        streamName: 'late-stream',
        segmentIds: [segmentId],
        properties: ['name'],
      });
      await people.put('people.csv', good);
      expect(await people.import()).toMatchObject({ state: 'succeeded', counts: { created: 2 } });
      const test = await millrace.api.post<{ checks: { error?: { message: string } }[] }>(
        `${people.path}/connections/${id}/test`,
      );
      expect(test).toMatchObject({ ok: false, checks: [{ error: { code: 'stream-not-found' } }] });
      expect(test.checks[0]?.error?.message).toContain('late-stream');
      await millrace.stream.ensureStream('late-stream');
      await waitFor(async () => (await recordsOn('late-stream')) >= 2, 30_000, 'the records kept so far');
      expect(await recordsOn('late-stream')).toBe(2);
    });

    it('refuses a PGP passphrase that does not open the key, naming the field', async () => {
      const people = await People.prepare(millrace, 'wrong-passphrase');
      const path = `${people.path}/connections/${people.connectionId}`;
      const pgp = { privateKey: ownKeys.privateKey, passphrase: 'not the passphrase' };
      const problem = await millrace.api.refusal(millrace.api.patch(path, { pgp }));
      expect(problem).toMatchObject({ status: 400, at: expect.stringContaining('pgp.passphrase') as string });
      await people.put('people.csv.pgp', await encrypt(Buffer.from(good)));
      await expectNextRunWorks(people);
    });
  });

  describe('a file that is not what it should be', () => {
    interface BadFile {
      readonly name: string;
      readonly content: () => Promise<Buffer> | Buffer;
      readonly code: string;
      /** What else the message names. */
      readonly cause: string;
    }
    const png = Buffer.concat([
      Buffer.from('89504e470d0a1a0a0000000d494844520000000100000001080600000', 'hex'),
      Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 7919) % 256)),
    ]);
    const cases: Readonly<Record<string, BadFile>> = {
      'plain text that is called .gz': {
        name: 'people.csv.gz',
        content: () => Buffer.from(good),
        code: 'not-gzip',
        cause: 'gzip',
      },
      'plain text that is called .pgp': {
        name: 'people.csv.pgp',
        content: () => Buffer.from(good),
        code: 'not-pgp',
        cause: 'OpenPGP',
      },
      'a picture that is called .csv': {
        name: 'people.csv',
        content: () => png,
        code: 'not-delimited-text',
        cause: 'text',
      },
      'the beginning of a zip that is called .csv': {
        name: 'people.csv',
        content: () => Buffer.from('504b030414000000080000000000', 'hex'),
        code: 'zip-truncated',
        cause: 'zip',
      },
      'a gzip file that was cut off': {
        name: 'people.csv.gz',
        content: () => gzipSync(good.repeat(5000)).subarray(0, -20),
        code: 'gzip-truncated',
        cause: 'cut',
      },
      'a gzip file with a wrong checksum': {
        name: 'people.csv.gz',
        content: () => flipped(gzipSync(good.repeat(5000)), -6),
        code: 'gzip-damaged',
        cause: 'damaged',
      },
      'an encrypted file that was changed': {
        name: 'people.csv.pgp',
        content: async () => flipped(await encrypt(Buffer.from(good.repeat(5000))), -1000),
        code: 'pgp-tampered',
        cause: 'changed',
      },
      'an encrypted file that was cut off': {
        name: 'people.csv.pgp',
        content: async () => (await encrypt(Buffer.from(good.repeat(5000)))).subarray(0, -1000),
        code: 'pgp-damaged',
        cause: 'cut',
      },
      'a file encrypted for somebody else': {
        name: 'people.csv.pgp',
        content: async () => await encrypt(Buffer.from(good), strangersKeys.publicKey),
        code: 'pgp-wrong-key',
        cause: 'key',
      },
      'a file without the column that identifies people': {
        name: 'people.csv',
        content: () => Buffer.from('mail,name,points\nada@example.org,Ada,1\n'),
        code: 'column-missing',
        cause: 'e-mail',
      },
      'a file whose every row has a column too few': {
        name: 'people.csv',
        content: () => Buffer.from(header + 'ada@example.org,Ada\n'.repeat(50)),
        code: 'too-many-rejects',
        cause: '50 of the 50 rows',
      },
    };

    for (const [what, { name, content, code, cause }] of Object.entries(cases)) {
      it(`fails the run, and applies nothing: ${what}`, async () => {
        const people = await People.prepare(millrace, `file-${code}-${name.replace(/\W/g, '-')}-${what.length}`);
        await people.put(name, await content());
        await expectFailure(people, await people.import(), code, `in/${name}`, cause);
        await people.remove(name);
        await people.put('people.csv', good);
        await expectNextRunWorks(people);
      });
    }

    it('tells how many rows were bad, and lists them, when they were too many', async () => {
      const people = await People.prepare(millrace, 'too-many');
      await people.put('people.csv', `${good}${'eve@example.org,Eve\n'.repeat(50)}`);
      const run = await people.run();
      const [goal] = run.goals;
      const counts = { rowsRead: 52, rejected: 50, skipped: { 'not-applied': 2 }, created: 0 };
      expect(goal).toMatchObject({ state: 'failed', error: { code: 'too-many-rejects' }, counts });
      const rejects = await people.rejects(run);
      expect(rejects.map(({ line }) => line)).toEqual(Array.from({ length: 50 }, (_, index) => index + 4));
      expect(await people.profiles()).toEqual({});
    });

    it('takes a gzip file that is called .csv for what it is', async () => {
      const people = await People.prepare(millrace, 'gzip-inside');
      await people.put('people.csv', gzipSync(good));
      await expectNextRunWorks(people);
    });
  });

  describe('one broken file among several', () => {
    it('keeps what was imported before it, and the next run adds no sum twice', async () => {
      const people = await People.prepare(millrace, 'second-broken');
      await people.put('people-1.csv', good);
      await people.put('people-2.csv.gz', gzipSync(good.repeat(5000)).subarray(0, -20));
      const goal = await people.import();
      expect(goal).toMatchObject({ state: 'failed', error: { code: 'gzip-truncated' }, counts: { created: 2 } });
      expect(goal.error?.message).toContain('in/people-2.csv.gz');
      expect(await people.profiles()).toEqual(goodProfiles);
      await people.put('people-2.csv.gz', gzipSync(`${header}bob@example.org,Bobby,10\n`));
      expect(await people.import()).toMatchObject({
        state: 'succeeded',
        counts: { files: 1, filesSkipped: 1, updated: 1 },
      });
      const profiles = { ...goodProfiles, 'bob@example.org': { name: 'Bobby', points: 12 } };
      expect(await people.profiles()).toEqual(profiles);
    });

    it('applies nothing of a set of linked files when one of them is broken', async () => {
      const exact = (name: string): object => ({ kind: 'exact', name });
      const linked = [{ alias: 'orders', pattern: exact('orders.csv.gz'), column: 'buyer', parentColumn: 'e-mail' }];
      const event = { file: 'orders', type: 'order', idColumn: 'id', occurredAtColumn: 'at' };
      const people = await People.prepare(millrace, 'linked-broken', { goal: { linked, events: [event] } });
      const orders = `id,buyer,at\n${'o1,ada@example.org,2026-01-01\n'.repeat(5000)}`;
      await people.put('people.csv', good);
      await people.put('orders.csv.gz', gzipSync(orders).subarray(0, -20));
      await expectFailure(people, await people.import(), 'gzip-truncated', 'in/orders.csv.gz');
      await people.put('orders.csv.gz', gzipSync(orders));
      await expectNextRunWorks(people);
    });
  });

  describe('rows that cannot be read', () => {
    it('are rejected alone, each with its line and reason, when they have too few or too many columns', async () => {
      const people = await People.prepare(millrace, 'ragged', { goal: { rejectLimit: { share: 0.9 } } });
      const lines = [
        'ada@example.org,Ada,1',
        'eve@example.org,Eve',
        'bob@example.org,Bob,2',
        'fay@example.org,Fay,3,more',
        'gus@example.org,Gus,many',
        ',Nobody,4',
      ];
      await people.put('people.csv', header + lines.join('\n'));
      const run = await people.run();
      expect(run.goals[0]).toMatchObject({ state: 'succeeded', counts: { rowsRead: 6, created: 2, rejected: 4 } });
      expect(await people.profiles()).toEqual(goodProfiles);
      const rejects = await people.rejects(run);
      expect(rejects.map(({ name, line }) => `${name}:${line}`)).toEqual(
        [3, 5, 6, 7].map((line) => `in/people.csv:${line}`),
      );
      expect(rejects[0]?.message).toMatch(/2.*3|3.*2/);
      expect(rejects[1]?.message).toMatch(/4.*3|3.*4/);
      expect(rejects[2]).toMatchObject({ column: 'points' });
      expect(rejects[3]).toMatchObject({ column: 'e-mail' });
      const notes = run.goals[0]?.notes.map(({ message, at }) => `${message} ${at}`).join('\n');
      for (const line of [3, 5, 6, 7]) expect(notes).toContain(`in/people.csv:${line}`);
    });

    it('are rejected alone when they hold a NUL or bytes that are not in the charset', async () => {
      const people = await People.prepare(millrace, 'bytes');
      const row = (email: string, ...name: readonly number[]): Buffer =>
        Buffer.concat([Buffer.from(`${email},`), Buffer.from(name), Buffer.from(',1\n')]);
      const rows = [row('nul@example.org', 0x41, 0x00, 0x42), row('latin@example.org', 0x5a, 0x6f, 0xeb)];
      await people.put('people.csv', Buffer.concat([Buffer.from(good), ...rows]));
      const run = await people.run();
      expect(run.goals[0]).toMatchObject({ state: 'succeeded', counts: { rowsRead: 4, created: 2, rejected: 2 } });
      expect(await people.rejects(run)).toMatchObject([
        { line: 4, code: 'nul' },
        { line: 5, code: 'bad-charset' },
      ]);
      expect(await people.profiles()).toEqual(goodProfiles);
    });

    it('do not swallow what follows an unclosed quote at the start of a large file', async () => {
      const people = await People.prepare(millrace, 'unclosed');
      const rows = Array.from({ length: 200_000 }, (_, index) => `p${index}@example.org,Person number ${index},1`);
      await people.put('people.csv', `${header}eve@example.org,"Eve,1\n${rows.join('\n')}\n`);
      const run = await people.run();
      const [goal] = run.goals;
      const { rowsRead, created, rejected } = (goal?.counts ?? {}) as Record<string, number>;
      expect(goal?.state).toBe('succeeded');
      expect(created! + rejected!).toBe(rowsRead);
      expect((await people.rejects(run))[0]).toMatchObject({ name: 'in/people.csv', line: 2, code: 'unclosed-quote' });
      // What the quote took with it is bounded by the largest record allowed.
      expect(created).toBeGreaterThan(170_000);
      expect((await people.profiles())['p199999@example.org']).toEqual({ name: 'Person number 199999', points: 1 });
    });
  });

  async function tried(people: People): Promise<unknown> {
    return await millrace.api.post(`${people.path}/connections/${people.connectionId}/test`);
  }

  async function recordsOn(stream: string): Promise<number> {
    let records = 0;
    for await (const _ of millrace.stream.readAll(stream)) records += 1;
    return records;
  }
});

/** The same bytes with one bit of the byte at `at` (from the end, if negative) changed. */
function flipped(content: Buffer, at: number): Buffer {
  const copy = Buffer.from(content);
  const index = at < 0 ? copy.length + at : at;
  copy[index] = (copy[index] ?? 0) ^ 1;
  return copy;
}
