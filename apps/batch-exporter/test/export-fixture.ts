import { mkdtemp, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Database, migrate, sql } from '@millrace/database';
import {
  type ExportCounts,
  exportCounts,
  type ExportManifest,
  exportManifest,
  exportProfilesGoal,
  type GoalEndpoint,
  type GoalSnapshot,
  type RunEventBody,
} from '@millrace/domain';
import {
  createMemoryWakeUps,
  type Log,
  newOwner,
  openGoalUnit,
  UnitWorker,
  type UnitWorkerOptions,
  type WakeUps,
  workMigrations,
} from '@millrace/job-queue';
import { createFolderObjectStore, type ObjectStore } from '@millrace/object-store';
import {
  buildSegments,
  createProperty,
  createSegment,
  createWorkspace,
  profileMigrations,
} from '@millrace/profile-store';
import { createTestDatabase, type TestDatabase, waitFor } from '@millrace/testing';
import { cleanUp, refusesCancel } from '../src/run-export/clean-up.js';
import type { ExportEvents } from '../src/run-export/export.events.js';
import type { Exporter } from '../src/run-export/exporter.js';
import { runExport } from '../src/run-export/run-export.js';
import { exporterMigrations } from '../src/storage/migrations.js';
import { receiverSeals } from '../src/storage/receiver-seals.js';
import { writePart } from '../src/write-part/write-part.js';

export const silentLog: Log = { info: () => undefined, warn: () => undefined, error: () => undefined };

export const silentEvents: ExportEvents = {
  planned: () => undefined,
  nameTaken: () => undefined,
  partStored: () => undefined,
  delivered: () => undefined,
  replica: () => undefined,
  abandoned: () => undefined,
  removalFailed: () => undefined,
};

export interface Outcome {
  readonly outcome: 'succeeded' | 'failed' | 'cancelled';
  readonly counts: ExportCounts & Readonly<Record<string, unknown>>;
  readonly error?: { readonly code: string; readonly message: string; readonly at?: string };
}

/** A workspace with one segment of everybody, a folder as bucket, and exporter workers in this process. */
export class ExportFixture {
  readonly bucket = 'exports';
  readonly wakeUps: WakeUps = createMemoryWakeUps();
  readonly #workers: UnitWorker[] = [];
  readonly #own: readonly Database[];

  /** Of the connection of whatever is exported next. */
  consentObjectives: readonly string[] = [];

  private constructor(
    readonly testDatabase: TestDatabase,
    public database: Database,
    public queueDatabase: Database,
    readonly root: string,
    readonly workspaceId: number,
    readonly segmentId: string,
  ) {
    this.#own = [database, queueDatabase];
  }

  /** @param server a PostgreSQL other than that of the test run */
  static async create(name: string, server?: string): Promise<ExportFixture> {
    const testDatabase = await createTestDatabase(name, {
      migrate,
      sets: [profileMigrations, workMigrations, exporterMigrations],
      server,
    });
    const database = new Database({ url: testDatabase.url, applicationName: 'test', maxConnections: 20 });
    const queueDatabase = new Database({ url: testDatabase.url, applicationName: 'test-queue', maxConnections: 4 });
    const root = await mkdtemp(path.join(tmpdir(), 'millrace-export-'));
    await mkdir(path.join(root, 'exports'));
    const workspace = await createWorkspace(database, { name: 'demo', title: '' });
    for (const property of [
      { name: 'email', type: 'string' as const },
      { name: 'person.name', type: 'string' as const },
      { name: 'points', type: 'integer' as const },
      { name: 'spent', type: 'decimal' as const },
      { name: 'active', type: 'boolean' as const },
      { name: 'birthday', type: 'date' as const },
      { name: 'tags', type: 'string' as const, list: true },
      { name: 'prices', type: 'decimal' as const, list: true },
    ]) {
      await database.transaction((tx) =>
        createProperty(tx, workspace.id, { list: false, unique: false, labels: [], ...property }),
      );
    }
    const segment = await createSegment(database, workspace.id, { name: 'Everyone', rule: { kind: 'all', rules: [] } });
    while (await buildSegments(database)) continue;
    return new ExportFixture(testDatabase, database, queueDatabase, root, workspace.id, segment.id);
  }

  async close(): Promise<void> {
    await this.stopWorkers();
    for (const database of this.#own) await database.end();
    await this.testDatabase.drop();
    await rm(this.root, { recursive: true, force: true });
  }

  /** From here on everything happens in another copy of the database, which whoever opened it closes. */
  async moveTo(database: Database): Promise<void> {
    await this.stopWorkers();
    this.database = database;
    this.queueDatabase = database;
  }

  store(): ObjectStore {
    return createFolderObjectStore({ root: this.root });
  }

  exporter(changes: Partial<Exporter> = {}): Exporter {
    return {
      database: this.database,
      wakeUps: this.wakeUps,
      openTarget: ({ endpoint }) => ({ endpoint, store: this.store() }),
      events: silentEvents,
      pseudonymKey: () => new Uint8Array(32),
      seals: receiverSeals(new Uint8Array(32).fill(7)),
      ...changes,
    };
  }

  /** One more exporter process, as far as the work is concerned. */
  startWorker(exporter = this.exporter(), options: Partial<UnitWorkerOptions> = {}): readonly UnitWorker[] {
    const common = {
      database: this.queueDatabase,
      wakeUps: this.wakeUps,
      log: silentLog,
      sweepMs: 100,
      cancelPollMs: 100,
      cleanUp: (unit: Parameters<typeof cleanUp>[1], end: Parameters<typeof cleanUp>[2]) =>
        cleanUp(exporter, unit, end),
      refusesCancel: (unit: Parameters<typeof refusesCancel>[1]) => refusesCancel(exporter, unit),
      ...options,
    };
    const workers = [
      new UnitWorker({
        ...common,
        queues: ['export-run'],
        handler: runExport(exporter),
        concurrency: 4,
        owner: newOwner('run'),
      }),
      new UnitWorker({
        ...common,
        queues: ['export-part'],
        handler: writePart(exporter),
        concurrency: 2,
        owner: newOwner('part'),
      }),
    ];
    for (const worker of workers) worker.start();
    this.#workers.push(...workers);
    return workers;
  }

  async stopWorkers(): Promise<void> {
    await Promise.all(this.#workers.splice(0).map((worker) => worker.stop()));
  }

  /** Profiles with these properties, all in the segment. Returns their ids. */
  async addProfiles(properties: readonly Readonly<Record<string, unknown>>[]): Promise<readonly string[]> {
    return await this.database.transaction(async (tx) => {
      const { rows } = await tx.query<{ id: string }>(sql`
        INSERT INTO profile.profile (id, workspace_id, domain_group_id, properties, version)
        SELECT uuidv7(), ${this.workspaceId}, (SELECT id FROM profile.domain_group WHERE workspace_id = ${this.workspaceId}), value, 1
        FROM jsonb_array_elements(${JSON.stringify(properties)}::jsonb) RETURNING id`);
      const ids = rows.map((row) => row.id);
      await tx.query(sql`
        INSERT INTO profile.membership (profile_id, segment_id, status)
        SELECT id, ${this.segmentId}, 'realized' FROM unnest(${ids}::uuid[]) AS id`);
      return ids;
    });
  }

  async setProperty(id: string, name: string, value: unknown): Promise<void> {
    await this.database.query(setPropertyStatement(id, name, value));
  }

  goal(changes: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
    return {
      kind: 'export-profiles',
      name: 'test export',
      segmentId: this.segmentId,
      target: { bucket: this.bucket, directory: 'out' },
      columns: [
        { header: 'E-mail', source: { kind: 'property', property: 'email' } },
        { header: 'Points', source: { kind: 'property', property: 'points' } },
      ],
      ...changes,
    };
  }

  snapshot(
    goalId: string,
    goal: Readonly<Record<string, unknown>>,
    endpoint: Partial<GoalEndpoint> = {},
    connectionId: string = randomUUID(),
  ): GoalSnapshot {
    return {
      version: 1,
      workspaceId: this.workspaceId,
      connectionId,
      goalId,
      goal: exportProfilesGoal.parse(goal),
      endpoint: { region: 'us-east-1', credentials: { kind: 'default-chain' }, ...endpoint },
      consentObjectives: [...this.consentObjectives],
    };
  }

  /** Opens a run; workers or the caller do the rest. */
  async open(
    goalId: string,
    goal = this.goal(),
    endpoint: Partial<GoalEndpoint> = {},
    connectionId: string = randomUUID(),
  ): Promise<{ readonly runId: string; readonly unitId: string }> {
    const runId = randomUUID();
    const snapshot = this.snapshot(goalId, goal, endpoint, connectionId);
    const { unitId } = await this.database.transaction((tx) =>
      openGoalUnit(tx, { queue: 'export-run', runId, goalId, snapshot, payload: { version: 1 } }),
    );
    await this.wakeUps.wake('export-run', { version: 1, unitId });
    return { runId, unitId };
  }

  async run(goalId: string, goal = this.goal(), endpoint: Partial<GoalEndpoint> = {}): Promise<Outcome> {
    const { runId } = await this.open(goalId, goal, endpoint);
    return await this.outcome(runId);
  }

  async outcome(runId: string, timeoutMs = 60_000): Promise<Outcome> {
    const finished = await waitFor(
      async () => (await this.events(runId)).find((event) => event.kind === 'goal-finished'),
      timeoutMs,
      'the end of the run',
    );
    if (finished.kind !== 'goal-finished') throw new Error('not an end');
    return { ...finished, counts: { ...finished.counts, ...exportCounts.parse(finished.counts) } } as Outcome;
  }

  async events(runId: string): Promise<readonly RunEventBody[]> {
    const { rows } = await this.database.query<{ body: string }>(
      sql`SELECT body FROM work.run_event WHERE run_id = ${runId} ORDER BY id`,
    );
    return rows.map((row) => JSON.parse(row.body) as RunEventBody);
  }

  /** Keys of the visible objects. */
  async objects(): Promise<readonly string[]> {
    const keys: string[] = [];
    for await (const object of this.store().list(this.bucket, '')) keys.push(object.key);
    return keys;
  }

  async openUploads(): Promise<readonly string[]> {
    const keys: string[] = [];
    for await (const upload of this.store().listUploads(this.bucket, '')) keys.push(upload.key);
    return keys;
  }

  async read(key: string): Promise<Buffer> {
    return await readFile(path.join(this.root, this.bucket, key));
  }

  async manifest(counts: ExportCounts): Promise<ExportManifest> {
    return exportManifest.parse(JSON.parse((await this.read(counts.manifest ?? '')).toString()));
  }

  /** The data rows of all files of a run, sorted. Files have a header and no quoted line breaks. */
  async rows(counts: ExportCounts): Promise<readonly string[]> {
    return [...(await this.rowsInOrder(counts))].sort();
  }

  /** The same in the order of the files and of the rows in them. */
  async rowsInOrder(counts: ExportCounts): Promise<readonly string[]> {
    const rows: string[] = [];
    for (const file of counts.files) rows.push(...(await this.read(file.name)).toString().split('\n').slice(1, -1));
    return rows;
  }

  async emptyBucket(): Promise<void> {
    for (const entry of await readdir(path.join(this.root, this.bucket))) {
      await rm(path.join(this.root, this.bucket, entry), { recursive: true, force: true });
    }
  }
}

export function setPropertyStatement(id: string, name: string, value: unknown): ReturnType<typeof sql> {
  return sql`
    UPDATE profile.profile SET properties = properties || jsonb_build_object(${name}::text, ${JSON.stringify(value)}::jsonb),
      version = version + 1, changed_xid = pg_current_xact_id() WHERE id = ${id}`;
}
