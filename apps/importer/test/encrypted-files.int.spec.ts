import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { encryptPgp, type EncryptPgpOptions } from '@millrace/crypto';
import { sql } from '@millrace/database';
import type { PgpKeys } from '@millrace/domain';
import { ImportHarness } from './import-harness.js';

// Made for these tests and used nowhere else.
const key = (name: string): string => readFileSync(new URL(`./fixtures/${name}.asc`, import.meta.url), 'utf8');
const receiver: PgpKeys = {
  privateKey: key('receiver.private'),
  passphrase: 'correct horse',
  recipients: [],
  verifiers: [],
};

let harness: ImportHarness;

beforeAll(async () => {
  harness = await ImportHarness.create('encrypted', [{ name: 'name' }]);
  harness.startWorker();
});
afterAll(() => harness.close());

async function encrypted(content: string | Uint8Array, options: Partial<EncryptPgpOptions> = {}): Promise<Buffer> {
  return buffer(
    encryptPgp(Readable.from([Buffer.from(content)], { objectMode: false }), {
      recipients: [key('receiver.public')],
      ...options,
    }),
  );
}

let directory = 0;
async function importOne(name: string, content: Uint8Array, pgp: PgpKeys | undefined = receiver) {
  directory += 1;
  await harness.client.put(harness.bucket, `d${directory}/${name}`, content);
  const goal = harness.goal({
    source: { bucket: harness.bucket, directory: `d${directory}`, pattern: { kind: 'every' } },
    mappings: [{ column: 'name', property: 'name' }],
  });
  return harness.run(goal, pgp === undefined ? {} : { pgp });
}

const rows = (prefix: string, count: number): string =>
  `id,name\n${Array.from({ length: count }, (_, number) => `${prefix}-${number},Somebody ${number}\n`).join('')}`;

async function nothingOf(prefix: string): Promise<void> {
  expect(Object.keys(await harness.profiles()).filter((id) => id.startsWith(prefix))).toEqual([]);
  expect(await harness.tables()).toEqual([]);
}

describe('an encrypted file', () => {
  it('is imported', async () => {
    expect(await importOne('c.csv.pgp', await encrypted(rows('plain', 3)))).toMatchObject({
      outcome: 'succeeded',
      counts: { created: 3 },
    });
  });

  it('may be gzipped inside, armored, and named as it likes', async () => {
    const content = await encrypted(gzipSync(rows('gzip', 3)), { armor: true });
    expect(await importOne('c.dat', content)).toMatchObject({ outcome: 'succeeded', counts: { created: 3 } });
  });

  it('is refused without a private key', async () => {
    const run = await importOne('c.csv.gpg', await encrypted(rows('nokey', 3)), { recipients: [], verifiers: [] });
    expect(run).toMatchObject({ outcome: 'failed', error: { code: 'pgp-key-missing' } });
    expect(run.error?.message).toContain('c.csv.gpg');
  });

  it('is refused when it is meant for another key', async () => {
    const run = await importOne(
      'c.csv.pgp',
      await encrypted(rows('other', 3), { recipients: [key('stranger.public')] }),
    );
    expect(run).toMatchObject({ outcome: 'failed', error: { code: 'pgp-wrong-key' } });
    await nothingOf('other');
  });

  it('is refused when the passphrase is wrong, and the passphrase is not told', async () => {
    const run = await importOne('c.csv.pgp', await encrypted(rows('phrase', 3)), {
      ...receiver,
      passphrase: 'a secret guess',
    });
    expect(run).toMatchObject({ outcome: 'failed', error: { code: 'pgp-wrong-passphrase' } });
    expect(JSON.stringify(run)).not.toContain('a secret guess');
  });

  it('applies nothing when it was tampered with, although all its rows came out', async () => {
    const content = await encrypted(rows('tampered', 20_000));
    content[content.length - 12] = (content[content.length - 12] ?? 0) ^ 1;
    const run = await importOne('c.csv.pgp', content);
    expect(run).toMatchObject({ outcome: 'failed', error: { code: 'pgp-tampered' } });
    expect(run.error?.message).toContain('c.csv.pgp');
    await nothingOf('tampered');
  });

  it('applies nothing when it was cut off', async () => {
    const content = await encrypted(rows('cut', 20_000));
    const run = await importOne('c.csv.pgp', content.subarray(0, content.length - 1000));
    expect(run.outcome).toBe('failed');
    expect(run.error?.code).toMatch(/^pgp-/);
    await nothingOf('cut');
  });

  it('must be signed by a known sender where the connection names senders', async () => {
    const pgp = { ...receiver, verifiers: [key('sender.public')] };
    const signed = await encrypted(rows('signed', 3), { signWith: { privateKey: key('sender.private') } });
    expect(await importOne('c.csv.pgp', signed, pgp)).toMatchObject({ outcome: 'succeeded', counts: { created: 3 } });
    const forged = await encrypted(rows('forged', 3), { signWith: { privateKey: key('stranger.private') } });
    expect(await importOne('c.csv.pgp', forged, pgp)).toMatchObject({ outcome: 'failed' });
    expect(await importOne('c.csv.pgp', await encrypted(rows('unsigned', 3)), pgp)).toMatchObject({
      outcome: 'failed',
    });
    await nothingOf('forged');
    await nothingOf('unsigned');
  });
});

describe('secrets and personal data', () => {
  it('stand in no run event, unit or error', async () => {
    const run = await importOne('c.csv.pgp', await encrypted('id,name\nsecret-1,Planted Person\n,Planted Other\n'));
    expect(run.counts).toMatchObject({ created: 1, rejected: 1 });
    const { rows: stored } = await harness.database.query<{ text: string }>(sql`
      SELECT body::text AS text FROM work.run_event UNION ALL SELECT concat(payload, result, error) FROM work.unit
      UNION ALL SELECT document::text FROM work.goal_snapshot`);
    const text = stored.map((row) => row.text).join('\n');
    expect(text).not.toContain('Planted');
    expect(text).not.toContain('correct horse');
    expect(text).not.toContain('BEGIN PGP PRIVATE KEY');
  });
});
