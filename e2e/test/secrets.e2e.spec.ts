import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { open } from '@millrace/crypto';
import { sql } from '@millrace/database';
import { serviceNames } from '@millrace/dev-stack';
import { waitFor } from '@millrace/testing';
import { Millrace } from './millrace.js';
import { ownKeys } from './pgp-keys.js';
import {
  alertSecret,
  expectNone,
  fullName,
  kinesisSecret,
  lookUp,
  misplaced,
  person,
  personal,
  s3Secret,
  surname,
  type Planted,
} from './planted.js';
import { PlantedWorkspace } from './planted-workspace.js';
import { RedisWatch } from './redis-watch.js';

describe('planted secrets and personal data', () => {
  let millrace: Millrace;
  let redis: RedisWatch;
  let planted: PlantedWorkspace;
  let secrets: Planted;
  let receiver: Server;
  /** Headers and bodies of what alerts sent. */
  const told: string[] = [];

  beforeAll(async () => {
    millrace = await Millrace.start('secrets', { MILLRACE_LOG_LEVEL: 'trace' });
    redis = await RedisWatch.start(millrace.stack.urls.redis);
    planted = await PlantedWorkspace.prepare(millrace);
    secrets = plantedSecrets();
    receiver = createServer((request, response) => {
      let text = JSON.stringify(request.headers);
      request.on('data', (chunk: Buffer) => (text += chunk.toString()));
      request.on('end', () => {
        told.push(text);
        response.end();
      });
    });
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    await planted.tellTo(`http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`);
    await planted.exchange();
    await planted.misplaceSecrets();
    await planted.sendBadUpdates();
    await planted.failRuns();
    await planted.interruptDatabase();
    await planted.refuseRecord();
  });

  afterAll(async () => {
    redis?.stop();
    await millrace?.stop();
    await planted?.stop();
    receiver?.close();
  });

  it('are really in the system: the profile, the rejected rows and the stream have them', async () => {
    const profile = `${planted.people.path}/profiles?${lookUp(person)}`;
    expect(await millrace.api.get(profile)).toMatchObject({ properties: { name: fullName } });
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
      expect(log.length).toBeGreaterThan(1000);
      expectNone(`the log of ${service}`, log, [...secrets, ...personal]);
    }
  });

  it('are in nothing that was sent to Redis, and in nothing that lies in it', async () => {
    expect(redis.commands).toContain('millrace');
    expectNone('the commands sent to Redis', redis.commands, [...secrets, ...personal]);
    expectNone('what lies in Redis', await redis.contents(), [...secrets, ...personal]);
  });

  it('are in nothing that alerts tell', async () => {
    await waitFor(async () => {
      const { items } = await millrace.api.get<{ items: readonly { state: string }[] }>(
        `${planted.people.path}/alert-deliveries?state=pending`,
      );
      return items.length === 0;
    });
    expect(told.filter((text) => text.includes('"event":"failed"')).length).toBeGreaterThan(0);
    expect(told.filter((text) => text.includes('"event":"rejected"')).length).toBeGreaterThan(0);
    for (const text of told) expectNone('an alert', text, [...secrets, ...personal]);
  });

  it('are in no error answer and no view of a run', () => {
    expect(millrace.api.problems.length).toBeGreaterThan(10);
    for (const text of [...millrace.api.problems, ...planted.answers])
      expectNone('an answer', text, [...secrets, ...personal]);
  });

  it('are in no table: secrets only sealed, personal data only in the store and in the list of rejected rows', async () => {
    for (const { name, content } of await tables(['config', 'work', 'exporter', 'publisher']))
      expectNone(name, content, [...secrets, ...personal]);
    for (const { name, content } of await tables(['importer', 'profile'])) expectNone(name, content, secrets);
  });

  it('stand sealed in the connection and, for the service that runs the goal, in its snapshot', async () => {
    const { connectionId } = planted.people;
    const { rows } = await millrace.database.query<{ workspaceId: number; connection: string; snapshot: string }>(sql`
      SELECT c.workspace_id AS "workspaceId", c.document->'credentials'->>'secretAccessKey' AS connection,
        s.document->'endpoint'->'credentials'->>'secretAccessKey' AS snapshot
      FROM config.connection c
      JOIN work.goal_snapshot s ON s.document->>'connectionId' = c.id::text AND s.kind = 'import-profiles'
      WHERE c.id = ${connectionId}`);
    const [row] = rows;
    if (row === undefined) throw new Error('the connection has no snapshot');
    const context = { workspaceId: row.workspaceId, connectionId, field: 'credentials.secretAccessKey' };
    const { sealing } = stackKeys();
    const keyOf = (service: string): Uint8Array => Buffer.from(sealing[service] ?? '', 'base64');
    expect(open(row.connection, keyOf('config-api'), context)).toBe(s3Secret);
    expect(open(row.snapshot, keyOf('importer'), context)).toBe(s3Secret);
    expect(() => open(row.snapshot, keyOf('batch-exporter'), context)).toThrow('does not open');
  });

  /** Every row of every table of the schemas, as text. */
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

  /** Written down by the stack when it makes them. */
  function stackKeys(): {
    readonly sealing: Readonly<Record<string, string>>;
    readonly serviceToken: string;
    readonly apiKey: string;
  } {
    const file = path.join(millrace.stack.directory, 'keys.json');
    return JSON.parse(readFileSync(file, 'utf8')) as ReturnType<typeof stackKeys>;
  }

  function plantedSecrets(): Planted {
    const { sealing, serviceToken, apiKey } = stackKeys();
    const lines = ownKeys.privateKey.split('\n').filter((line) => /^[A-Za-z0-9+/]{60,}$/.test(line));
    return [
      ['the S3 secret', s3Secret],
      ['the Kinesis secret', kinesisSecret],
      ['the secret of an alert', alertSecret],
      ['a misplaced secret', misplaced],
      ['the PGP passphrase', ownKeys.passphrase],
      ...lines.map((line, index) => [`line ${index} of the PGP private key`, line] as const),
      ...Object.entries(sealing).map(([service, key]) => [`the sealing key of ${service}`, key] as const),
      ['the service token', serviceToken],
      ['the first API key', apiKey],
      ['the API key of a reader', planted.readerKey],
      ['the password of the database', new URL(millrace.stack.urls.database).password],
    ];
  }
});
