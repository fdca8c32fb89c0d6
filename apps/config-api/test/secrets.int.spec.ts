import { open } from '@millrace/crypto';
import { sql } from '@millrace/database';
import { goalSnapshot } from '@millrace/domain';
import { exportGoal, importGoal, kinesisConnection, s3Connection, startApi, w, type Api } from './api-fixture.js';
import { expiredPgpKeys, pgpKeys } from './pgp-keys.js';

const secret = 'planted-secret-access-key';
const { passphrase, privateKey, publicKey } = pgpKeys;

let api: Api;
let everyone: string;
beforeAll(async () => {
  api = await startApi('secrets');
  everyone = (await api.call('POST', `${w}/segments`, { name: 'Everyone', rule: { kind: 'all', rules: [] } })).body.id;
});
afterAll(() => api.close());

/** Every row of every table a service could read, as text. */
async function everythingStored(): Promise<string> {
  const { rows: tables } = await api.database.query<{ schema: string; name: string }>(sql`
    SELECT table_schema AS schema, table_name AS name FROM information_schema.tables
    WHERE table_schema IN ('config', 'work') AND table_type = 'BASE TABLE'`);
  const texts = await Promise.all(
    tables.map(async ({ schema, name }) => {
      const { rows } = await api.database.query<{ text: string }>(
        sql`SELECT t::text AS text FROM ${sql.id(schema, name)} t`,
      );
      return rows.map(({ text }) => text).join('\n');
    }),
  );
  return texts.join('\n');
}

it('seals secrets at rest and never shows them', async () => {
  const pgp = { privateKey, passphrase, recipients: [publicKey] };
  const created = await api.call('POST', `${w}/connections`, s3Connection({ pgp }));
  expect(created).toMatchObject({
    status: 201,
    body: {
      credentials: { kind: 'access-key', accessKeyId: 'AKIAEXAMPLE', hasSecretAccessKey: true },
      pgp: { hasPrivateKey: true, hasPassphrase: true, recipients: [publicKey] },
    },
  });
  const { id } = created.body;
  await api.call('POST', `${w}/connections/${id}/goals`, importGoal());
  await api.call('POST', `${w}/connections/${id}/goals`, exportGoal(everyone, { pgp: { encrypt: true, sign: true } }));
  const stream = (await api.call('POST', `${w}/connections`, kinesisConnection())).body.id;
  await api.call('POST', `${w}/connections/${stream}/goals`, {
    kind: 'stream',
    name: 'S',
    streamName: 's',
    segmentIds: [everyone],
  });
  const answers = [
    created,
    await api.call('GET', `${w}/connections`),
    await api.call('GET', `${w}/connections/${id}`),
    await api.call('PATCH', `${w}/connections/${id}`, { description: 'x' }),
    await api.call('POST', `${w}/connections/${id}/test`),
    await api.call('POST', `${w}/connections/${id}/runs`),
    await api.call('GET', `${w}/runs`),
  ];
  const privateKeyLine = privateKey.split('\n')[4]!;
  for (const text of [...answers.map((answer) => answer.text), await everythingStored(), api.log()]) {
    for (const planted of [secret, passphrase, privateKeyLine]) expect(text).not.toContain(planted);
  }
});

it('keeps secrets that a change leaves out', async () => {
  const { id } = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'Kept' }))).body;
  await api.call('PATCH', `${w}/connections/${id}`, {
    name: 'Kept on',
    credentials: { kind: 'access-key', accessKeyId: 'AKIAEXAMPLE' },
  });
  const { rows } = await api.database.query<{ document: string; workspace_id: number }>(
    sql`SELECT document, workspace_id FROM config.connection WHERE id = ${id}`,
  );
  const sealed = JSON.parse(rows[0]!.document).credentials.secretAccessKey as string;
  const context = { workspaceId: rows[0]!.workspace_id, connectionId: id, field: 'credentials.secretAccessKey' };
  expect(open(sealed, api.keys['config-api'], context)).toBe(secret);
});

it('seals the secrets of a snapshot for the service that runs the goal, and for no other', async () => {
  const { id } = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'For workers' }))).body;
  const goal = (await api.call('POST', `${w}/connections/${id}/goals`, importGoal())).body.id;
  await api.call('POST', `${w}/connections/${id}/runs`);
  const { rows } = await api.database.query<{ document: string }>(
    sql`SELECT document FROM work.goal_snapshot WHERE goal_id = ${goal}`,
  );
  const snapshot = goalSnapshot.parse(JSON.parse(rows[0]!.document));
  const { credentials } = snapshot.endpoint;
  const sealed = credentials.kind === 'access-key' ? credentials.secretAccessKey : '';
  const context = { workspaceId: snapshot.workspaceId, connectionId: id, field: 'credentials.secretAccessKey' };
  expect(open(sealed, api.keys.importer, context)).toBe(secret);
  expect(() => open(sealed, api.keys['config-api'], context)).toThrow('does not open');
  expect(() => open(sealed, api.keys['batch-exporter'], context)).toThrow('does not open');
});

describe('PGP keys', () => {
  it('are refused when they are none, naming the field', async () => {
    const answer = await api.call(
      'POST',
      `${w}/connections`,
      s3Connection({ name: 'No key', pgp: { recipients: ['not a key'] } }),
    );
    expect(answer.status).toBe(400);
    expect(answer.body.at).toMatch(/^pgp\.recipients/);
  });

  it('are refused with a wrong passphrase, which is not repeated', async () => {
    const answer = await api.call(
      'POST',
      `${w}/connections`,
      s3Connection({ name: 'Locked', pgp: { privateKey, passphrase: 'planted-wrong' } }),
    );
    expect(answer.status).toBe(400);
    expect(answer.body.at).toBe('pgp.passphrase');
    expect(answer.text + api.log()).not.toContain('planted-wrong');
  });

  it('are refused as recipients when they have expired', async () => {
    const answer = await api.call(
      'POST',
      `${w}/connections`,
      s3Connection({ name: 'Expired', pgp: { recipients: [expiredPgpKeys.publicKey] } }),
    );
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ code: 'pgp-key-expired', at: 'pgp.recipients[0]' });
  });

  it('still open old files when they have expired, but no goal can be saved that signs with them', async () => {
    const pgp = { privateKey: expiredPgpKeys.privateKey, recipients: [publicKey] };
    const created = await api.call('POST', `${w}/connections`, s3Connection({ name: 'Old key', pgp }));
    expect(created.status).toBe(201);
    const goals = `${w}/connections/${created.body.id}/goals`;
    const signed = await api.call('POST', goals, exportGoal(everyone, { pgp: { sign: true } }));
    expect(signed.status).toBe(400);
    expect(signed.body).toMatchObject({ code: 'pgp-key-expired', at: 'pgp.privateKey' });
    const encrypted = await api.call('POST', goals, exportGoal(everyone, { pgp: { encrypt: true } }));
    expect(encrypted.status).toBe(201);
  });
});

describe('an export goal', () => {
  it('keeps its timeline, processors, cutting, folder and formats as they were given', async () => {
    const { body } = await api.call('POST', `${w}/connections`, s3Connection({ name: 'Every option' }));
    const options = {
      target: { bucket: 'exports', directory: 'to/%SEGMENT_NAME%' },
      timeline: { types: ['order'], from: '2026-01-01T00:00:00Z', fileName: '%EVENT_TYPE%', countsAsChange: true },
      processors: [{ kind: 'fixed-value', file: 'root', into: 'origin', value: 'crm' }],
      splitBytes: 1_000_000,
    };
    const created = await api.call('POST', `${w}/connections/${body.id}/goals`, exportGoal(everyone, options));
    expect(created.body).toMatchObject(options);
    const read = await api.call('GET', `${w}/goals/${created.body.id}`);
    expect(read.body).toMatchObject({ ...options, splitRows: 5_000_000 });
    const misfit = { ...options, timeline: { types: ['visit'] } };
    const refused = await api.call('POST', `${w}/connections/${body.id}/goals`, exportGoal(everyone, misfit));
    expect(refused.status).toBe(400);
    expect(refused.body.errors).toEqual([
      { field: 'timeline.types.0', message: 'the workspace has no event type "visit"' },
    ]);
  });
});
