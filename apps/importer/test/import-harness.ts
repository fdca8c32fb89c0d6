import { randomUUID } from 'node:crypto';
import { sealEndpoint } from '@millrace/crypto';
import { Database, migrate, sql } from '@millrace/database';
import {
  importCounts,
  importProfilesGoal,
  type ErrorSummary,
  type GoalEndpoint,
  type ImportCounts,
  type ImportGuardrails,
  type ImportGoal,
  type ImportProfilesGoal,
  type PgpKeys,
  type Property,
  type RunEventBody,
} from '@millrace/domain';
import {
  createMemoryWakeUps,
  newOwner,
  openGoalUnit,
  sendCommand,
  workMigrations,
  type Log,
} from '@millrace/job-queue';
import { createS3ObjectStore, type ObjectStore } from '@millrace/object-store';
import {
  createProperty,
  createWorkspace,
  profileMigrations,
  storeStatistics,
  type StoreStatistics,
} from '@millrace/profile-store';
import { awsAccess, createTestBucket, createTestDatabase, waitFor, type TestDatabase } from '@millrace/testing';
import type { ImportEvents } from '../src/import.events.js';
import type { ImportSettings } from '../src/run-import/import-job.js';
import { ImportWorker, type ImportWorkerOptions } from '../src/run-import/import-worker.js';
import { importerMigrations } from '../src/storage/importer-migrations.js';

export type BucketClient = Awaited<ReturnType<typeof createTestBucket>>['client'];

export interface FinishedRun {
  readonly runId: string;
  readonly outcome: 'succeeded' | 'failed' | 'cancelled';
  readonly counts: ImportCounts;
  readonly error: ErrorSummary | undefined;
  readonly notes: readonly string[];
  readonly events: readonly RunEventBody[];
}

const silent: Log = { info: () => undefined, warn: () => undefined, error: () => undefined };

export const silentEvents: ImportEvents = {
  fileSkipped: () => undefined,
  fileStaged: () => undefined,
  stagingLost: () => undefined,
  filePlanned: () => undefined,
  chunkApplied: () => undefined,
  fileFinished: () => undefined,
  sourceKept: () => undefined,
  tablesSwept: () => undefined,
  expiredRemoved: () => undefined,
  sweepFailed: () => undefined,
};

export type WorkerChanges = Partial<Omit<ImportWorkerOptions, 'settings'>> & {
  readonly settings?: Partial<ImportSettings>;
};

export interface OpenOptions {
  readonly pgp?: PgpKeys;
  readonly repeatSums?: boolean;
  readonly dryRun?: boolean;
  readonly consentObjectives?: string[];
  readonly guardrails?: ImportGuardrails;
}

/** A database, a bucket and a workspace of their own, and workers on request. */
export class ImportHarness {
  readonly goalId = randomUUID();
  readonly connectionId = randomUUID();
  readonly sealingKey = new Uint8Array(32).fill(7);
  readonly wakeUps = createMemoryWakeUps();
  /** A proxy's, in place of the stand-in's own. */
  s3Endpoint: string | undefined;
  readonly #workers: ImportWorker[] = [];
  readonly #pools: Database[] = [];

  private constructor(
    readonly testDatabase: TestDatabase,
    readonly database: Database,
    readonly bucket: string,
    readonly client: BucketClient,
    readonly workspaceId: number,
  ) {}

  /** @param server a PostgreSQL other than that of the test run */
  static async create(
    name: string,
    properties: readonly Partial<Property>[] = [],
    server?: string,
  ): Promise<ImportHarness> {
    const sets = [profileMigrations, workMigrations, importerMigrations];
    const testDatabase = await createTestDatabase(name, { migrate, sets, server });
    const database = new Database({ url: testDatabase.url, applicationName: 'test', maxConnections: 8 });
    const { bucket, client } = await createTestBucket(name);
    const workspace = await createWorkspace(database, { name: 'test', title: '' });
    const harness = new ImportHarness(testDatabase, database, bucket, client, workspace.id);
    for (const property of properties) {
      const full = { name: '', type: 'string', list: false, unique: false, labels: [], ...property } as Property;
      await database.transaction((tx) => createProperty(tx, workspace.id, full));
    }
    return harness;
  }

  /** A goal that matches on column `id`, with changes. */
  goal(changes: Record<string, unknown> = {}): ImportProfilesGoal {
    return importProfilesGoal.parse({
      kind: 'import-profiles',
      name: 'customers',
      source: { bucket: this.bucket, directory: 'in', pattern: { kind: 'wildcard', pattern: 'customers*' } },
      matching: { identifiers: [{ column: 'id', namespace: 'customerId' }] },
      ...changes,
    });
  }

  endpoint(pgp?: PgpKeys): GoalEndpoint {
    const { endpoint, region, accessKeyId, secretAccessKey } = awsAccess('s3', this.s3Endpoint);
    return {
      endpoint,
      region,
      credentials: { kind: 'access-key', accessKeyId, secretAccessKey },
      ...(pgp === undefined ? {} : { pgp }),
    };
  }

  openStore(): ObjectStore {
    return createS3ObjectStore(this.endpoint());
  }

  async put(name: string, content: string | Uint8Array): Promise<void> {
    await this.client.put(this.bucket, `in/${name}`, content);
  }

  /** Starts a worker in this process, as `start()` of the service does. */
  startWorker(changes: WorkerChanges = {}): ImportWorker {
    const { settings, ...rest } = changes;
    const pool = (maxConnections: number): Database => {
      const database = new Database({ url: this.testDatabase.url, applicationName: 'test-importer', maxConnections });
      this.#pools.push(database);
      return database;
    };
    const worker = new ImportWorker({
      database: pool(8),
      leaseDatabase: pool(2),
      wakeUps: this.wakeUps,
      events: silentEvents,
      settings: { lanes: 2, chunkLines: 1000, maxStoredRejects: 1000, maxPlainBytes: 1024 ** 3, ...settings },
      sealingKey: this.sealingKey,
      openStore: () => this.openStore(),
      owner: newOwner('test-importer'),
      runs: 1,
      leaseTtlMs: 5000,
      sweepMs: 100,
      log: silent,
      ...rest,
    });
    this.#workers.push(worker);
    worker.start();
    return worker;
  }

  /** Opens a run of the goal, as config-api does. Returns the run's id. */
  async open(goal: ImportGoal, options: OpenOptions = {}): Promise<string> {
    const runId = randomUUID();
    const endpoint = this.endpoint(options.pgp);
    const { workspaceId, connectionId, goalId } = this;
    const sealed = sealEndpoint(endpoint, this.sealingKey, { workspaceId, connectionId });
    const { consentObjectives = [], guardrails } = options;
    const ids = { workspaceId, connectionId, goalId };
    const ofConnection = {
      connectionName: 'test',
      consentObjectives,
      ...(guardrails === undefined ? {} : { guardrails }),
    };
    const snapshot = { version: 1, ...ids, goal, endpoint: sealed, ...ofConnection } as const;
    const { unitId } = await this.database.transaction((tx) =>
      openGoalUnit(tx, {
        queue: 'import-run',
        runId,
        goalId: this.goalId,
        snapshot,
        payload: { version: 1, repeatSums: options.repeatSums ?? false, dryRun: options.dryRun ?? false },
      }),
    );
    await this.wakeUps.wake('import-run', { version: 1, unitId });
    return runId;
  }

  /** From here on a unit whose worker died stays where it is until `resume`: a test may then change what the next worker finds. */
  async holdRetries(): Promise<void> {
    await this.database.query(sql`
      CREATE FUNCTION work.hold() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN NEW.not_before := 'infinity'; RETURN NEW; END $$`);
    await this.database.query(sql`
      CREATE TRIGGER hold BEFORE UPDATE ON work.unit FOR EACH ROW
      WHEN (OLD.state = 'running' AND NEW.state = 'ready') EXECUTE FUNCTION work.hold()`);
  }

  /** Waits until a unit is held, does `meanwhile`, and lets the unit and all later retries go. */
  async resume(meanwhile: () => Promise<void>): Promise<void> {
    await waitFor(
      async () =>
        (await this.database.query(sql`SELECT FROM work.unit WHERE state = 'ready' AND not_before = 'infinity'`))
          .rowCount > 0,
      undefined,
      'a unit whose worker died',
    );
    await meanwhile();
    await this.database.query(sql`DROP TRIGGER hold ON work.unit`);
    await this.database.query(sql`UPDATE work.unit SET not_before = now() WHERE not_before = 'infinity'`);
  }

  async cancel(runId: string): Promise<void> {
    await sendCommand(this.database, { kind: 'cancel-run', runId });
  }

  async runEvents(runId: string): Promise<readonly RunEventBody[]> {
    const { rows } = await this.database.query<{ body: string }>(
      sql`SELECT body FROM work.run_event WHERE run_id = ${runId} ORDER BY id`,
    );
    return rows.map((row) => JSON.parse(row.body) as RunEventBody);
  }

  async finished(runId: string, timeoutMs = 60_000): Promise<FinishedRun> {
    const end = await waitFor(
      async () => (await this.runEvents(runId)).find((event) => event.kind === 'goal-finished'),
      timeoutMs,
      'the end of the run',
    );
    const events = await this.runEvents(runId);
    if (end.kind !== 'goal-finished') throw new Error('unreachable');
    return {
      runId,
      outcome: end.outcome,
      counts: importCounts.parse(end.counts),
      error: end.error,
      notes: events.flatMap((event) => (event.kind === 'goal-note' ? [event.message] : [])),
      events,
    };
  }

  /** Opens a run and waits for its end; a worker must be running. */
  async run(goal: ImportGoal, options: OpenOptions = {}): Promise<FinishedRun> {
    return this.finished(await this.open(goal, options));
  }

  async statistics(): Promise<StoreStatistics> {
    return storeStatistics(this.database, this.workspaceId);
  }

  /** The properties of every profile, by its customer id. */
  async profiles(namespace = 'customerId'): Promise<Readonly<Record<string, Record<string, unknown>>>> {
    const { rows } = await this.database.query<{ value: string; properties: string }>(sql`
      SELECT i.value, p.properties FROM profile.profile p
      JOIN profile.identity i ON i.profile_id = p.id
      JOIN profile.identity_namespace n ON n.id = i.namespace_id AND n.code = ${namespace}
      WHERE p.workspace_id = ${this.workspaceId} ORDER BY i.value`);
    return Object.fromEntries(rows.map((row) => [row.value, JSON.parse(row.properties) as Record<string, unknown>]));
  }

  /** What PostgreSQL does to unlogged tables when it starts after a crash. Resolves to how many there were. */
  async loseStaging(): Promise<number> {
    const staged = (await this.tables()).filter((name) => name.startsWith('stage_'));
    for (const name of staged) await this.database.query(sql`TRUNCATE ${sql.id('importer', name)}`);
    return staged.length;
  }

  /** Staging and plan tables that exist now. */
  async tables(): Promise<readonly string[]> {
    const { rows } = await this.database.query<{ name: string }>(
      sql`SELECT relname AS name FROM pg_class WHERE relnamespace = 'importer'::regnamespace AND relname ~ '^(stage|plan)_' AND relkind = 'r' ORDER BY 1`,
    );
    return rows.map((row) => row.name);
  }

  async close(): Promise<void> {
    for (const worker of this.#workers) await worker.stop();
    for (const pool of this.#pools) await pool.end();
    await this.database.end();
    await this.testDatabase.drop();
  }
}

/** The sum that must hold for every run. */
export function outcomes(counts: ImportCounts): number {
  const skipped = Object.values(counts.skipped).reduce((total, count) => total + count, 0);
  return (
    counts.created + counts.updated + counts.unchanged + counts.erased + skipped + counts.ambiguous + counts.rejected
  );
}
