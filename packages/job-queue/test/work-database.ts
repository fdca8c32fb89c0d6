import { randomUUID } from 'node:crypto';
import { Database, migrate, sql } from '@millrace/database';
import { goalSnapshot, type GoalSnapshot } from '@millrace/domain';
import { createTestDatabase, type TestDatabase } from '@millrace/testing';
import { openGoalUnit, workMigrations, type Log, type UnitQueue } from '../src/index.js';

export interface WorkDatabase {
  readonly database: Database;
  readonly url: string;
  close(): Promise<void>;
}

/** A database with the `work` schema and a table `marker(text)` for what transactions under test write. */
export async function workDatabase(name: string): Promise<WorkDatabase> {
  const created: TestDatabase = await createTestDatabase(name, { migrate, sets: [workMigrations] });
  const database = new Database({ url: created.url, applicationName: 'job-queue-test', maxConnections: 10 });
  await database.query(sql`CREATE TABLE public.marker (text text NOT NULL)`);
  return {
    database,
    url: created.url,
    async close() {
      await database.end();
      await created.drop();
    },
  };
}

export async function markers(database: Database): Promise<string[]> {
  const { rows } = await database.query<{ text: string }>(sql`SELECT text FROM public.marker ORDER BY text`);
  return rows.map((row) => row.text);
}

export function someSnapshot(workspaceId = 1, goalId: string = randomUUID()): GoalSnapshot {
  return goalSnapshot.parse({
    version: 1,
    workspaceId,
    connectionId: randomUUID(),
    goalId,
    goal: { kind: 'stream', name: 'changes', streamName: 'changes', segmentIds: [randomUUID()] },
    endpoint: { region: 'us-east-1', credentials: { kind: 'default-chain' } },
  });
}

export async function openSomeUnit(
  database: Database,
  options: { readonly queue?: UnitQueue; readonly workspaceId?: number; readonly runId?: string } = {},
): Promise<{ unitId: string; runId: string; goalId: string }> {
  const snapshot = someSnapshot(options.workspaceId);
  const runId = options.runId ?? randomUUID();
  const { unitId } = await database.transaction((tx) =>
    openGoalUnit(tx, {
      queue: options.queue ?? 'import-run',
      runId,
      goalId: snapshot.goalId,
      snapshot,
      payload: { version: 1 },
    }),
  );
  return { unitId, runId, goalId: snapshot.goalId };
}

export async function unitState(
  database: Database,
  unitId: string,
): Promise<{ state: string; attempts: number; error: string | null }> {
  const { rows } = await database.query<{ state: string; attempts: number; error: string | null }>(
    sql`SELECT state, attempts, error FROM work.unit WHERE id = ${unitId}`,
  );
  return rows[0] as { state: string; attempts: number; error: string | null };
}

export interface LogLine {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
}

export function recordingLog(): Log & { readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at =
    (level: LogLine['level']) =>
    (_fields: object, message: string): void =>
      void lines.push({ level, message });
  return { lines, info: at('info'), warn: at('warn'), error: at('error') };
}
