import { readFileSync } from 'node:fs';
import path from 'node:path';
import { open } from '@millrace/crypto';
import { sql } from '@millrace/database';
import { serviceNames } from '@millrace/dev-stack';
import { FaultProxy, waitFor } from '@millrace/testing';
import type { Identified } from './api.js';
import { holdProfile, somebodyWaits } from './hold.js';
import { Millrace } from './millrace.js';
import { People } from './people.js';
import { ownKeys, strangersKeys } from './pgp-keys.js';
import { RedisWatch } from './redis-watch.js';
import { encrypt } from './sample.js';

// Words that occur nowhere else, so that finding one of them anywhere is a leak.
const s3Secret = 'plantedS3SecretAccessKey0123456789';
const kinesisSecret = 'plantedKinesisSecretKey0123456789';
const misplaced = 'plantedSecretInTheWrongPlace';
const person = 'Zaphodine';
const surname = 'Plantagenista';

describe('planted secrets and personal data', () => {
  let millrace: Millrace;
  let redis: RedisWatch;
  let people: People;
  let proxy: FaultProxy;
  /** What the API has answered, errors and run views, as text. */
  const answers: string[] = [];
  let otherKey: string;
  let secrets: Readonly<Record<string, string>>;

  beforeAll(async () => {
    millrace = await Millrace.start('secrets', { MILLRACE_LOG_LEVEL: 'trace' });
    redis = await RedisWatch.start(millrace.stack.urls.redis);
    proxy = await FaultProxy.start(millrace.stack.urls.kinesis);
    const credentials = {
      kind: 'access-key',
      accessKeyId: millrace.stack.credentials.accessKeyId,
      secretAccessKey: s3Secret,
    };
    const goal = { rejectLimit: { share: 0.99 }, badValue: 'reject-field' };
    people = await People.prepare(millrace, 'people', { connection: { credentials }, goal });
    const scopes = ['config:read', 'profile:read'];
    const key = { name: 'reader', scopes, workspace: people.workspace };
    otherKey = (await millrace.api.post<{ key: string }>('/api-keys', key)).key;
    secrets = plantedSecrets();
    await exchangeSomething();
    await provokeErrors();
  });

  afterAll(async () => {
    redis?.stop();
    await millrace?.stop();
    await proxy?.stop();
  });

  it('are really in the system: the profile, the rejected rows and the stream have them', async () => {
    const found = await millrace.api.get<{ properties: { name: string } }>(`${people.path}/profiles?${lookUp(person)}`);
    expect(found.properties.name).toBe(`${person} ${surname}`);
    const { rows } = await millrace.database.query<{ raw: string }>(
      sql`SELECT raw FROM importer.reject WHERE raw IS NOT NULL`,
    );
    expect(rows.filter(({ raw }) => raw.includes(surname)).length).toBeGreaterThanOrEqual(4);
    let streamed = '';
    for await (const { data } of millrace.stream.readAll('people-stream')) streamed += data.toString();
    expect(streamed).toContain(surname);
  });

  it('are in no log of any service, although the services log everything they can', () => {
    for (const service of serviceNames) {
      const log = readFileSync(millrace.services.logFile(service), 'utf8');
      expect(log.length).toBeGreaterThan(100);
      expectNone(`the log of ${service}`, log, [...Object.entries(secrets), ...personal()]);
    }
  });

  it('are in nothing that was sent to Redis, and in nothing that lies in it', async () => {
    expect(redis.commands).toContain('millrace');
    expectNone('the commands sent to Redis', redis.commands, [...Object.entries(secrets), ...personal()]);
    expectNone('what lies in Redis', await redis.contents(), [...Object.entries(secrets), ...personal()]);
  });

  it('are in no error answer and no view of a run', () => {
    expect(millrace.api.problems.length).toBeGreaterThan(10);
    for (const text of [...millrace.api.problems, ...answers])
      expectNone('an answer', text, [...Object.entries(secrets), ...personal()]);
  });

  it('are in no table: secrets only sealed, personal data only in the store and in the list of rejected rows', async () => {
    for (const { name, content } of await tables(['config', 'work', 'exporter', 'publisher', 'importer', 'profile']))
      expectNone(name, content, Object.entries(secrets));
    for (const { name, content } of await tables(['config', 'work', 'exporter', 'publisher']))
      expectNone(name, content, personal());
  });

  it('stand sealed in the connection and, for the service that runs the goal, in its snapshot', async () => {
    const { sealing } = stackKeys();
    const { rows } = await millrace.database.query<{ workspace_id: number; connection: string; snapshot: string }>(sql`
      SELECT c.workspace_id, c.document->'credentials'->>'secretAccessKey' AS connection,
        s.document->'endpoint'->'credentials'->>'secretAccessKey' AS snapshot
      FROM config.connection c JOIN work.goal_snapshot s ON s.document->>'connectionId' = c.id::text AND s.kind = 'import-profiles'
      WHERE c.id = ${people.connectionId}`);
    const [row] = rows;
    if (row === undefined) throw new Error('the connection has no snapshot');
    const context = {
      workspaceId: row.workspace_id,
      connectionId: people.connectionId,
      field: 'credentials.secretAccessKey',
    };
    const keyOf = (service: string): Uint8Array => Buffer.from(sealing[service] ?? '', 'base64');
    expect(open(row.connection, keyOf('config-api'), context)).toBe(s3Secret);
    expect(open(row.snapshot, keyOf('importer'), context)).toBe(s3Secret);
    expect(() => open(row.snapshot, keyOf('batch-exporter'), context)).toThrow('does not open');
  });

  /** Rows of every fate, a stream, an export, updates over the API. */
  async function exchangeSomething(): Promise<void> {
    const { api, stack } = millrace;
    const { id: segmentId } = await api.post<Identified>(`${people.path}/segments`, {
      name: 'everyone',
      rule: { kind: 'all', rules: [] },
    });
    await millrace.stream.ensureStream('people-stream');
    const { id: kinesis } = await api.post<Identified>(`${people.path}/connections`, {
      kind: 'kinesis',
      name: 'Stream',
      endpoint: proxy.url,
      credentials: { kind: 'access-key', accessKeyId: stack.credentials.accessKeyId, secretAccessKey: kinesisSecret },
    });
    await api.post(`${people.path}/connections/${kinesis}/goals`, {
      kind: 'stream',
      name: 'Changes',
      streamName: 'people-stream',
      segmentIds: [segmentId],
      properties: ['name'],
      partitionKey: { kind: 'identity', namespace: 'email' },
    });
    await api.post(`${people.path}/connections/${people.connectionId}/goals`, {
      kind: 'export-profiles',
      name: 'Export everyone',
      segmentId,
      target: { bucket: people.bucket, directory: 'out' },
      columns: [{ header: 'Name', source: { kind: 'property', property: 'name' } }],
      pgp: { encrypt: true, sign: true },
    });
    const row = (...fields: readonly string[]): string => `${fields.join(',')}\n`;
    const name = `${person} ${surname}`;
    await people.put(
      'people.csv.pgp',
      await encrypt(
        Buffer.from(
          row('e-mail', 'name', 'points') +
            row(email(person), name, '1') +
            row(email('short'), name) +
            row(email('long'), name, '1', name) +
            row(email('nul'), `${name}\0`, '1') +
            row('', name, '1') +
            row(email('field'), name, name) +
            row(email('number'), name, '9'.repeat(200_000)) +
            row(email('quote'), `"${name}`, '1'),
        ),
      ),
    );
    answers.push(JSON.stringify(await people.run()));
    await ingest('good', [{ identities: [identity(email('api'))], properties: [{ property: 'name', value: name }] }]);
    // Two profiles, and an update that names both.
    const both = [identity(email('api')), identity(email(person))];
    await ingest('ambiguous', [{ identities: both, properties: [{ property: 'name', value: name }] }]);
  }

  async function provokeErrors(): Promise<void> {
    const { api, stack } = millrace;
    const name = `${person} ${surname}`;
    const refused = async (call: Promise<unknown>): Promise<void> => {
      const { status } = await api.refusal(call);
      expect(status).toBeLessThan(500);
    };
    const connection = `${people.path}/connections/${people.connectionId}`;
    const s3 = {
      kind: 's3',
      name: 'Other',
      credentials: { kind: 'access-key', accessKeyId: 'x', secretAccessKey: s3Secret },
    };

    // Secrets where they do not belong, and requests that cannot be understood.
    await refused(api.call('POST', `${people.path}/connections`, `{"name":"x","secretAccessKey":"${misplaced}`));
    await refused(api.call('POST', `${people.path}/connections`, `"${misplaced}"`));
    await refused(api.post(`${people.path}/connections`, { ...s3, unknown: misplaced, region: { x: misplaced } }));
    await refused(api.post(`${people.path}/connections`, { ...s3, kind: misplaced }));
    await refused(
      api.post(`${people.path}/connections`, { ...s3, credentials: { kind: misplaced, secretAccessKey: s3Secret } }),
    );
    await refused(api.post(`${people.path}/connections`, { ...s3, endpoint: `https://user:${misplaced}@` }));
    await refused(api.patch(connection, { pgp: { privateKey: ownKeys.privateKey, passphrase: misplaced } }));
    await refused(api.patch(connection, { pgp: { privateKey: misplaced } }));
    await refused(api.patch(connection, { pgp: { privateKey: ownKeys.privateKey.slice(0, 500) } }));
    await refused(api.as(misplaced).get(`${people.path}/connections`));
    await refused(api.as(otherKey).post(`${people.path}/connections`, s3));

    // Personal data in requests that are refused.
    await refused(api.get(`${people.path}/profiles?${lookUp('unknown')}`));
    await refused(api.get(`${people.path}/profiles?namespace=unknown&value=${email('unknown')}`));
    await refused(api.get(`${people.path}/profiles/${email(person)}`));
    await refused(api.post(`${people.path}/ingestion/batches`, { batchId: 'bad', updates: name }));
    await refused(
      api.call('POST', `${people.path}/ingestion/batches`, `{"batchId":"x","updates":[{"name":"${name}"]}`),
    );
    await refused(api.get(`${people.path}/${person}/${surname}`));
    await refused(api.get(`${people.path}/profiles?namespace=email&value=${email('x')}%00`));
    await refused(api.post(`${people.path}/segments`, { name: `${name}\0`, rule: { kind: 'all', rules: [] } }));
    await refused(api.post(`${people.path}/ingestion/batches`, { batchId: `${name}\ud800\0`, updates: [{}] }));
    const points = (value: unknown): object => ({
      identities: [identity(email('x'))],
      properties: [{ property: 'points', value }],
    });
    const named = (value: unknown): object => ({
      identities: [identity(email('x'))],
      properties: [{ property: 'name', value }],
    });
    await ingest('items', [
      points(name),
      points({ x: name }),
      points(`1e${'9'.repeat(30)}`),
      named(`${name}\u0000`),
      named({ x: name }),
      { identities: [{ namespace: 'unknown', value: email('x') }] },
      { identities: [identity(`${email('x')}\u0000`)] },
      { identities: [identity(email('x'))], properties: [{ property: 'unknown', value: name }] },
      { identities: [identity(email('x'))], events: [{ type: 'order', id: name, occurredAt: name }] },
      name,
    ]);
    await ingestText(
      'surrogate',
      `{"identities":[{"namespace":"email","value":"${email('x')}"}],"properties":[{"property":"name","value":"${name}\\ud800"}]}`,
    );
    await ingestText(
      'huge',
      `{"identities":[{"namespace":"email","value":"${email('x')}"}],"properties":[{"property":"points","value":${'9'.repeat(200_000)}}]}`,
    );

    // Runs that fail.
    await people.put('people.csv.pgp', await encrypt(Buffer.from(`${email(person)},${name},1\n`)));
    await failed(people.run());
    await people.put(
      'people.csv.pgp',
      await encrypt(Buffer.from(`e-mail,name,points\n${email(person)},${name},1\n`), strangersKeys.publicKey),
    );
    await failed(people.run());
    const goal = `${people.path}/goals/${people.goalId}`;
    await api.patch(goal, { source: { bucket: 'no-such-bucket', directory: 'in', pattern: { kind: 'every' } } });
    await failed(people.run());
    const fault = { kind: 'status', status: 403, body: '<Error><Code>SignatureDoesNotMatch</Code></Error>' } as const;
    const closed = await FaultProxy.start(stack.urls.s3);
    closed.inject({ when: () => true, times: 1000, fault });
    await api.patch(connection, { endpoint: closed.url });
    await failed(people.run());
    answers.push(JSON.stringify(await api.post(`${connection}/test`)));
    await closed.stop();

    // PostgreSQL ends every connection in the middle of an import.
    await api.patch(connection, { endpoint: stack.urls.s3 });
    await api.patch(goal, { source: { bucket: people.bucket, directory: 'in', pattern: { kind: 'every' } } });
    await people.put('people.csv.pgp', await encrypt(Buffer.from(`e-mail,name,points\n${email(person)},${name},7\n`)));
    const letGo = await holdProfile(millrace.database, people.workspace, identity(email(person)));
    const run = people.run();
    await waitFor(async () => await somebodyWaits(millrace.database), 30_000, 'the import to be under way');
    await millrace.database.query(sql`
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name <> 'e2e' AND pid <> pg_backend_pid()`);
    await letGo();
    expect(await run).toMatchObject({ state: 'succeeded', goals: [{ counts: { rowsRead: 1, updated: 1 } }, {}] });

    // A stream that repeats in its refusal what it was sent.
    const puts = {
      when: ({ headers }: { headers: object }) => JSON.stringify(headers).includes('PutRecords'),
      times: 3,
    };
    const body = JSON.stringify({
      __type: 'ValidationException',
      message: `Value '${email(person)}' (${name}) is not allowed`,
    });
    const headers = { 'content-type': 'application/x-amz-json-1.1' };
    proxy.inject({ ...puts, fault: { kind: 'status', status: 400, body, headers } });
    const before = proxy.seen.length;
    await ingest('refused', [
      { identities: [identity(email(person))], properties: [{ property: 'name', value: name }] },
    ]);
    await waitFor(() => proxy.seen.length > before, 10_000, 'a request to the stream');
    await waitFor(async () => (await waiting()) === 0, 30_000, 'the stream to be quiet');
  }

  async function failed(run: Promise<unknown>): Promise<void> {
    const view = await run;
    expect(view).toMatchObject({ state: 'failed' });
    answers.push(JSON.stringify(view));
    const { id } = view as Identified;
    answers.push(JSON.stringify(await millrace.api.get(`${people.path}/runs/${id}/rejects`)));
  }

  async function ingest(batchId: string, updates: readonly unknown[]): Promise<void> {
    answers.push(JSON.stringify(await millrace.api.post(`${people.path}/ingestion/batches`, { batchId, updates })));
  }

  /** With an update as text, for what JSON.stringify would not write. Accepted or refused, but never an internal error. */
  async function ingestText(batchId: string, update: string): Promise<void> {
    const call = millrace.api.call(
      'POST',
      `${people.path}/ingestion/batches`,
      `{"batchId":"${batchId}","updates":[${update}]}`,
    );
    const answer = await call.then(
      (result) => ({ status: 200, ...(result as object) }),
      async () => await millrace.api.refusal(call),
    );
    expect(answer.status).toBeLessThan(500);
    answers.push(JSON.stringify(answer));
  }

  async function waiting(): Promise<number> {
    const { rows } = await millrace.database.query<{ waiting: number }>(
      sql`SELECT ((SELECT count(*) FROM profile.outbox) + (SELECT count(*) FROM publisher.delivery WHERE state = 'pending'))::int AS waiting`,
    );
    return rows[0]?.waiting ?? 0;
  }

  async function tables(
    schemas: readonly string[],
  ): Promise<readonly { readonly name: string; readonly content: string }[]> {
    const { rows } = await millrace.database.query<{ schema: string; name: string }>(sql`
      SELECT table_schema AS schema, table_name AS name FROM information_schema.tables
      WHERE table_schema = ANY(${schemas}::text[]) AND table_type = 'BASE TABLE'`);
    const found: { name: string; content: string }[] = [];
    for (const { schema, name } of rows) {
      const content = await millrace.database.query<{ text: string }>(
        sql`SELECT t::text AS text FROM ${sql.id(schema, name)} t`,
      );
      found.push({ name: `${schema}.${name}`, content: content.rows.map(({ text }) => text).join('\n') });
    }
    return found;
  }

  function stackKeys(): {
    readonly sealing: Readonly<Record<string, string>>;
    readonly serviceToken: string;
    readonly apiKey: string;
  } {
    return JSON.parse(readFileSync(path.join(millrace.stack.directory, 'keys.json'), 'utf8')) as ReturnType<
      typeof stackKeys
    >;
  }

  function plantedSecrets(): Readonly<Record<string, string>> {
    const { sealing, serviceToken, apiKey } = stackKeys();
    const lines = ownKeys.privateKey.split('\n').filter((line) => /^[A-Za-z0-9+/]{60,}$/.test(line));
    return {
      'the S3 secret': s3Secret,
      'the Kinesis secret': kinesisSecret,
      'a misplaced secret': misplaced,
      'the PGP passphrase': ownKeys.passphrase,
      ...Object.fromEntries(lines.map((line, index) => [`line ${index} of the PGP private key`, line])),
      ...Object.fromEntries(Object.entries(sealing).map(([service, key]) => [`the sealing key of ${service}`, key])),
      'the service token': serviceToken,
      'the first API key': apiKey,
      'an API key': otherKey,
      'the password of the database': new URL(millrace.stack.urls.database).password,
    };
  }
});

function email(who: string): string {
  return `${who}.${surname}@example.org`.toLowerCase();
}

function identity(value: string): { readonly namespace: string; readonly value: string } {
  return { namespace: 'email', value };
}

function lookUp(who: string): string {
  return new URLSearchParams({ namespace: 'email', value: email(who) }).toString();
}

function personal(): readonly (readonly [string, string])[] {
  return [
    ['a first name', person],
    ['a surname', surname],
    ['an e-mail address', surname.toLowerCase()],
  ];
}

/** Fails naming what was found and where, with a little of the text around it. */
function expectNone(where: string, text: string, planted: readonly (readonly [string, string])[]): void {
  const found = planted.flatMap(([what, word]) =>
    [word, Buffer.from(word).toString('base64').slice(0, -4)].flatMap((form) => {
      const at = text.indexOf(form);
      return at < 0 ? [] : [`${what} in ${where}: ...${text.slice(Math.max(0, at - 200), at + form.length + 60)}...`];
    }),
  );
  expect(found).toEqual([]);
}
