import { createMemoryEventStream } from '@millrace/event-stream';
import { Database, migrate } from '@millrace/database';
import type { RunEventBody } from '@millrace/domain';
import { WAKE_UPS, workMigrations, writeRunEvent, type WakeUps } from '@millrace/job-queue';
import { createFolderObjectStore } from '@millrace/object-store';
import { profileMigrations } from '@millrace/profile-store';
import { createLogger, parseConfig, startService, type Service } from '@millrace/service-kit';
import { createTestDatabase, testRedisUrl } from '@millrace/testing';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { appModule, apiControllers, jsonBodies } from '../src/app.module.js';
import { configSchema } from '../src/config.js';
import { problemsOf } from '../src/describe-api/open-api-document.js';
import { routesOf } from '../src/describe-api/describe-api.module.js';
import type { Route } from '../src/describe-api/route.js';
import type { SealingKeys } from '../src/manage-connections/connection-secrets.js';
import { configMigrations } from '../src/storage/migrations/index.js';

// Answers are checked against their documented schemas at run time, so tests may read them without saying their types.
// oxlint-disable-next-line typescript/no-explicit-any
type Anything = any;

export interface Answer<Body = Anything> {
  readonly status: number;
  readonly type: string;
  readonly headers: Headers;
  readonly text: string;
  readonly body: Body;
}

export interface Api {
  readonly url: string;
  readonly database: Database;
  readonly databaseUrl: string;
  readonly keys: SealingKeys;
  /** The bootstrap key, good for everything. */
  readonly platformKey: string;
  /** Root folder of the object store that stands in for S3. */
  readonly bucketRoot: string;
  /** Everything the service has logged. */
  readonly log: () => string;
  readonly call: <Body = Anything>(
    method: string,
    route: string,
    body?: unknown,
    key?: string | null,
  ) => Promise<Answer<Body>>;
  /** A key made through the API. */
  readonly newKey: (scopes: readonly string[], workspace?: string) => Promise<string>;
  /** Commits run events as a worker does, and wakes the service by Redis. */
  readonly tell: (runId: string, goalId: string, ...bodies: RunEventBody[]) => Promise<void>;
  /** Another instance of the service on the same database. */
  readonly startAnother: () => Promise<Service>;
  /** Ends the first instance; the database stays. */
  readonly stopFirst: () => Promise<void>;
  readonly close: () => Promise<void>;
}

const routes = routesOf(apiControllers);

export interface ApiOptions {
  readonly env?: Readonly<Record<string, string>>;
}

/** The service on a database and a Redis of its own, with a workspace `acme`. Every answer is checked against the documented routes. */
export async function startApi(name: string, options: ApiOptions = {}): Promise<Api> {
  const testDatabase = await createTestDatabase(name, {
    migrate,
    sets: [profileMigrations, workMigrations, configMigrations],
  });
  const platformKey = `mr_${randomBytes(32).toString('base64url')}`;
  const sealing = Object.fromEntries(
    ['config-api', 'importer', 'batch-exporter', 'stream-publisher'].map((service) => [
      service,
      randomBytes(32).toString('base64'),
    ]),
  );
  const config = parseConfig(configSchema, {
    MILLRACE_DATABASE_URL: testDatabase.url,
    MILLRACE_REDIS_URL: await testRedisUrl(),
    MILLRACE_PORT: '0',
    MILLRACE_SEALING_KEYS: JSON.stringify(sealing),
    MILLRACE_BOOTSTRAP_API_KEY: platformKey,
    ...options.env,
  });
  const lines: string[] = [];
  const destination = new Writable({
    write: (chunk, _encoding, done) => {
      lines.push(String(chunk));
      done();
    },
  });
  const logger = createLogger({ service: 'config-api', level: 'debug', destination });
  const bucketRoot = mkdtempSync(path.join(tmpdir(), 'millrace-buckets-'));
  const drivers = {
    objectStore: () => createFolderObjectStore({ root: bucketRoot }),
    eventStream: () => createMemoryEventStream({ streams: { s: 1 } }),
  };
  const start = (): Promise<Service> =>
    startService({
      module: appModule(config, logger, drivers),
      name: 'config-api',
      port: 0,
      host: '127.0.0.1',
      logger,
      json: jsonBodies,
    });
  const services = [await start()];
  const { url } = services[0]!;
  const database = new Database({ url: testDatabase.url, applicationName: 'config-api-test' });
  const call: Api['call'] = (method, route, body, key = platformKey) => request(url, method, route, body, key);
  await call('POST', '/workspaces', { name: 'acme' });
  return {
    url,
    database,
    databaseUrl: testDatabase.url,
    keys: config.MILLRACE_SEALING_KEYS,
    platformKey,
    bucketRoot,
    log: () => lines.join(''),
    call,
    newKey: async (scopes, workspace) =>
      (await call('POST', '/api-keys', { name: scopes.join(' '), scopes, workspace })).body.key as string,
    tell: async (runId, goalId, ...bodies) => {
      for (const body of bodies) await writeRunEvent(database, { runId, goalId }, body);
      await services[0]!.app.get<WakeUps>(WAKE_UPS, { strict: false }).wake('run-event', { version: 1 });
    },
    startAnother: async () => {
      const service = await start();
      services.push(service);
      return service;
    },
    stopFirst: async () => {
      await services.shift()!.stop();
    },
    close: async () => {
      await Promise.all(services.map((service) => service.stop()));
      await database.end();
      await testDatabase.drop();
      rmSync(bucketRoot, { recursive: true, force: true });
    },
  };
}

/** `route` below /api/v1. */
export async function request<Body = Anything>(
  url: string,
  method: string,
  route: string,
  body: unknown,
  key: string | null,
): Promise<Answer<Body>> {
  const target = `/api/v1${route}`;
  const response = await fetch(url + target, {
    method,
    headers: {
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const type = response.headers.get('content-type') ?? '';
  const answer = {
    status: response.status,
    type,
    headers: response.headers,
    text,
    body: type.includes('json') ? JSON.parse(text) : undefined,
  };
  checkDocumented(method, target.split('?')[0]!, answer);
  return answer;
}

/** Fails when a route answers what the OpenAPI document does not say. */
function checkDocumented(method: string, target: string, answer: Answer): void {
  const found = findRoute(method, target);
  if (found === undefined) throw new Error(`${method} ${target} is not documented`);
  const { operation, status } = found;
  const known = [status, ...Object.keys(problemsOf(found)), ...Object.keys(operation.otherAnswers ?? {})].map(Number);
  if (!known.includes(answer.status))
    throw new Error(`${operation.id} answered ${answer.status}, which is not documented: ${answer.text}`);
  if (answer.status >= 400) {
    if (!answer.type.startsWith('application/problem+json'))
      throw new Error(`${operation.id}: an error that is no problem document`);
    return;
  }
  if (answer.status !== status || operation.answer.schema === undefined || !answer.type.includes('json')) return;
  const checked = operation.answer.schema.safeParse(answer.body);
  if (!checked.success)
    throw new Error(`${operation.id} answered what its schema does not allow: ${checked.error.message}`);
}

export function findRoute(method: string, target: string): Route | undefined {
  return routes.find(
    (route) =>
      route.method === method.toLowerCase() && new RegExp(`^${route.path.replace(/\{\w+\}/g, '[^/]+')}$`).test(target),
  );
}

export const w = '/workspaces/acme';

export function s3Connection(more: object = {}): object {
  return {
    kind: 's3',
    name: 'Bucket',
    credentials: { kind: 'access-key', accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'planted-secret-access-key' },
    ...more,
  };
}

export function kinesisConnection(more: object = {}): object {
  return { ...s3Connection({ name: 'Stream' }), kind: 'kinesis', ...more };
}

export function importGoal(more: object = {}): object {
  return {
    kind: 'import-profiles',
    name: 'Import customers',
    source: { bucket: 'acme-files', pattern: { kind: 'exact', name: 'customers.csv' } },
    matching: { identifiers: [{ column: 'email', namespace: 'email' }] },
    ...more,
  };
}

export function exportGoal(segmentId: string, more: object = {}): object {
  return {
    kind: 'export-profiles',
    name: 'Export everyone',
    segmentId,
    target: { bucket: 'acme-files', directory: 'out' },
    columns: [{ header: 'id', source: { kind: 'profile-id' } }],
    ...more,
  };
}
