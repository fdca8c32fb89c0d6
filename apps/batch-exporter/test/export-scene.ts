import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { sealEndpoint } from '@millrace/crypto';
import { sql } from '@millrace/database';
import { type ExportManifest, exportManifest, InputError } from '@millrace/domain';
import type { ObjectInfo, ObjectStore } from '@millrace/object-store';
import {
  awsAccess,
  createTestBucket,
  FaultProxy,
  type FaultRule,
  letAllGo,
  type SeenRequest,
  ServiceProcess,
  testRedisUrl,
  testUrl,
  waitFor,
} from '@millrace/testing';
import { ExportFixture } from './export-fixture.js';
import { s3Store } from './s3-target.js';

const mainFile = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const sealingKey = new Uint8Array(32).fill(7);
const profiles = 400;

export interface SceneRun {
  readonly runId: string;
  readonly goalId: string;
  readonly directory: string;
}

/** Built exporters as processes of their own, on one database and one Redis, with a proxy between them and S3. */
export class ExportScene {
  readonly #processes: ServiceProcess[] = [];
  readonly #store: ObjectStore = s3Store(testUrl('s3'));
  #bucket = '';
  #opened = 0;
  #readings: ReturnType<typeof readAlong> | undefined;

  private constructor(
    readonly fixture: ExportFixture,
    readonly s3: FaultProxy,
    readonly redisUrl: string,
  ) {}

  /**
   * @param server a PostgreSQL other than that of the test run
   * @param redisUrl a Redis other than that of the test run
   */
  static async create(
    name: string,
    { server, redisUrl }: { readonly server?: string; readonly redisUrl?: string } = {},
  ): Promise<ExportScene> {
    const fixture = await ExportFixture.create(name, server);
    await fixture.addProfiles(
      Array.from({ length: profiles }, (_, index) => ({ email: `user${index}@x.test`, points: index })),
    );
    // More than fits into all the buffers on the way; with it the rows of a quarter need two pieces of an upload.
    await fixture.database.query(
      sql`UPDATE profile.profile SET properties = properties || jsonb_build_object('person.name', repeat('x', 90000))`,
    );
    const s3 = await FaultProxy.start(testUrl('s3'));
    return new ExportScene(fixture, s3, redisUrl ?? (await testRedisUrl()));
  }

  async close(): Promise<void> {
    await this.endProcesses();
    await letAllGo();
    this.#store.close();
    await this.s3.stop();
    await this.fixture.close();
  }

  /** A bucket nothing is in yet, which somebody polls from now on until `endTest`. */
  async beginTest(): Promise<void> {
    this.#bucket = (await createTestBucket('scene')).bucket;
    this.#readings = readAlong(this.#store, this.#bucket);
  }

  /** Throws what the one who polled has to say. */
  async endTest(): Promise<void> {
    this.s3.clear();
    await letAllGo();
    await this.#readings?.stop();
  }

  async endProcesses(): Promise<void> {
    await Promise.all(this.#processes.splice(0).map((each) => each.kill()));
  }

  /** Resolves when it is ready to take work. */
  async start(env: Readonly<Record<string, string>> = {}): Promise<ServiceProcess> {
    const started = await ServiceProcess.start({
      mainFile,
      env: {
        MILLRACE_DATABASE_URL: this.fixture.testDatabase.url,
        MILLRACE_REDIS_URL: this.redisUrl,
        MILLRACE_SEALING_KEY: Buffer.from(sealingKey).toString('base64'),
        MILLRACE_EXPORT_LEASE_MS: '3000',
        MILLRACE_EXPORT_PARTS: '4',
        ...env,
      },
    });
    this.#processes.push(started);
    return started;
  }

  /** An export of two files, one manifest and a token file, to S3 by way of the proxy; into a folder of its own. */
  async open(
    changes: Readonly<Record<string, unknown>> = {},
    directory = `at${(this.#opened += 1)}`,
  ): Promise<SceneRun> {
    const goalId = randomUUID();
    const connectionId = randomUUID();
    const { workspaceId } = this.fixture;
    const { endpoint, region, accessKeyId, secretAccessKey } = awsAccess('s3', this.s3.url);
    const credentials = { kind: 'access-key', accessKeyId, secretAccessKey } as const;
    const sealed = sealEndpoint({ endpoint, region, credentials }, sealingKey, { workspaceId, connectionId });
    const goal = this.fixture.goal({
      target: { bucket: this.#bucket, directory },
      fileName: 'set',
      parts: 2,
      tokenFile: '%FILE_NAME%.ready',
      ...changes,
    });
    const { runId } = await this.fixture.open(goalId, goal, sealed, connectionId);
    return { runId, goalId, directory };
  }

  /** Opens an export and waits until one of its requests has met the fault. */
  async openUntil({ when, ...rule }: FaultRule, changes: Readonly<Record<string, unknown>> = {}): Promise<SceneRun> {
    const directory = `at${(this.#opened += 1)}`;
    // Names are given one after the other: `at1` is none of the requests of `at10`.
    const isOfRun = ({ path }: SeenRequest): boolean => new RegExp(`\\b${directory}\\b`).test(decodeURIComponent(path));
    const reached = this.s3.inject({ ...rule, when: (request) => isOfRun(request) && when(request) });
    const run = await this.open(changes, directory);
    await reached.met();
    return run;
  }

  /** For `open`, where a COPY or an upload is to have a middle. */
  get largeColumns(): readonly object[] {
    return ['email', 'points', 'person.name'].map((property) => ({
      header: property,
      source: { kind: 'property', property },
    }));
  }

  /** The result of an undisturbed run, to the last row, and nothing beside it. */
  async expectUndisturbed({ runId, goalId, directory }: SceneRun, files = 2): Promise<void> {
    const { fixture } = this;
    const { outcome, error, counts } = await fixture.outcome(runId, 120_000);
    expect({ outcome, error, rows: counts.rows }).toEqual({ outcome: 'succeeded', error: undefined, rows: profiles });
    const objects = await this.objects(directory);
    const names = Array.from(
      { length: files },
      (_, index) => `${directory}/set${index === 0 ? '' : `_${index + 1}`}.csv`,
    );
    const [manifestKey, tokenKey] = [`${directory}/set.manifest.json`, `${directory}/set.ready`];
    expect(objects.map(({ key }) => key).sort()).toEqual([...names, manifestKey, tokenKey].sort());
    expect(await this.openUploads(directory)).toEqual([]);

    const bodies = await Promise.all(names.map(async (name) => await this.read(name)));
    const rows = bodies.flatMap((body) => body.toString().split('\n').slice(1, -1));
    // Each once: a row that was written twice makes the list longer.
    expect(rows.map((row) => row.split(',', 2).join(',')).sort()).toEqual(
      Array.from({ length: profiles }, (_, index) => `user${index}@x.test,${index}`).sort(),
    );
    const manifest = exportManifest.parse(JSON.parse((await this.read(manifestKey)).toString()));
    expect(manifest).toMatchObject({ runId, goalId, rows: profiles });
    expect(manifest.files.map(({ name, bytes, sha256 }) => ({ name, bytes, sha256 }))).toEqual(
      bodies.map((body, index) => ({
        name: names[index]?.slice(`${directory}/`.length),
        bytes: body.length,
        sha256: sha256Of(body),
      })),
    );

    const { rows: watermark } = await fixture.database.query(sql`
      SELECT w.run_id, w.snapshot::text = e.plan->'position'->>'snapshot' AS of_plan
      FROM exporter.watermark w JOIN exporter.export e ON e.run_id = w.run_id WHERE w.goal_id = ${goalId}`);
    expect(watermark).toEqual([{ run_id: runId, of_plan: true }]);
    const { rows: left } = await fixture.database.query(sql`
      SELECT 'name' AS kind FROM exporter.reserved_key WHERE run_id = ${runId}
      UNION ALL SELECT 'row' FROM exporter.selected WHERE run_id = ${runId}
      UNION ALL SELECT 'unit' FROM work.unit WHERE run_id = ${runId} AND state <> 'done'`);
    expect(left).toEqual([]);
    expect((await fixture.events(runId)).filter(({ kind }) => kind === 'goal-finished')).toHaveLength(1);
  }

  async objects(directory: string): Promise<readonly ObjectInfo[]> {
    return await listed(this.#store.list(this.#bucket, `${directory}/`));
  }

  /** Of the test: what a consumer may have read, and when it was last written. */
  async allObjects(): Promise<readonly ObjectInfo[]> {
    return await listed(this.#store.list(this.#bucket, ''));
  }

  async openUploads(directory: string): Promise<readonly string[]> {
    return (await listed(this.#store.listUploads(this.#bucket, `${directory}/`))).map(({ key }) => key);
  }

  async read(key: string): Promise<Buffer> {
    return await readWhole(this.#store, this.#bucket, key);
  }

  /** Waits until a session waits for a lock with a statement like this. */
  async somebodyWaits(statement: string): Promise<void> {
    await waitFor(
      async () =>
        (
          await this.fixture.database.query(sql`
            SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
              AND wait_event_type = 'Lock' AND query LIKE ${statement}`)
        ).rowCount > 0,
      60_000,
      `somebody who waits for a lock (${statement})`,
    );
  }

  /** The token of the lease under which the export, or the unit of one of its files, is worked on: another one after each takeover. */
  async leaseToken({ runId }: SceneRun, part?: number): Promise<string> {
    const { rows } = await this.fixture.database.query<{ token: string }>(sql`
      SELECT l.token::text AS token FROM work.unit u JOIN work.lease l ON l.resource = 'unit:' || u.id
      WHERE u.run_id = ${runId} AND CASE WHEN ${part === undefined}::boolean THEN u.queue = 'export-run'
        ELSE u.id IN (SELECT p.unit_id FROM exporter.part p WHERE p.run_id = ${runId} AND p.number = ${part ?? 0}) END`);
    return rows[0]?.token ?? '';
  }

  /** Numbers of the files this process has stored, by its log. */
  storedBy(exporter: ServiceProcess, { runId }: SceneRun): readonly number[] {
    return exporter.log
      .split('\n')
      .filter((line) => line.includes('export file stored') && line.includes(runId))
      .map((line) => (JSON.parse(line) as { part: number }).part);
  }
}

/** Looks again and again at what a consumer could see; `stop` throws if it ever was what no consumer may see. */
function readAlong(store: ObjectStore, bucket: string): { readonly stop: () => Promise<void> } {
  let stopped = false;
  const verified = new Set<string>();
  const readIfThere = async (key: string): Promise<Buffer | undefined> =>
    readWhole(store, bucket, key).catch((error: unknown) => {
      if (error instanceof InputError && error.code === 'object-not-found') return undefined;
      throw error;
    });
  const wrongFile = async (manifest: string, { files }: ExportManifest): Promise<string | undefined> => {
    for (const file of files) {
      const key = manifest.replace('set.manifest.json', file.name);
      const found = await store.head(bucket, key);
      const seen = `${key} ${found?.etag}`;
      if (verified.has(seen)) continue;
      const body = await readIfThere(key);
      if (body?.length !== file.bytes || sha256Of(body) !== file.sha256) return key;
      verified.add(seen);
    }
    return undefined;
  };
  const look = async (): Promise<void> => {
    const keys = (await listed(store.list(bucket, ''))).map(({ key }) => key);
    for (const token of keys.filter((key) => key.endsWith('.ready')))
      if (!keys.includes(token.replace('.ready', '.manifest.json')))
        throw new Error(`${token} is there without a manifest`);
    for (const manifest of keys.filter((key) => key.endsWith('.manifest.json'))) {
      const body = await readIfThere(manifest);
      if (body === undefined) continue;
      const wrong = await wrongFile(manifest, exportManifest.parse(JSON.parse(body.toString())));
      // What is taken back goes backwards: the files after the manifest.
      if (wrong !== undefined && (await store.head(bucket, manifest)) !== undefined)
        throw new Error(`${manifest} is there, and ${wrong} is not, or not what it says`);
    }
  };
  const reading = (async () => {
    while (!stopped) {
      await look();
      await pause(20);
    }
  })();
  reading.catch(() => undefined);
  return {
    stop: async () => {
      stopped = true;
      await reading;
    },
  };
}

async function listed<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  return (await Readable.from(items).toArray()) as T[];
}

async function readWhole(store: ObjectStore, bucket: string, key: string): Promise<Buffer> {
  return Buffer.concat((await (await store.read(bucket, key)).toArray()) as Buffer[]);
}

function sha256Of(body: Buffer): string {
  return createHash('sha256').update(body).digest('hex');
}
