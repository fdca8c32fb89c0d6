import { sql, type Database, type Executor, type Sql, type Transaction } from '@millrace/database';
import type { PlannedEvent, PlannedFile, PlannedList } from '../link-files/plan-links.js';

/** The schema of all staging and plan tables. */
export const stagingSchema = 'importer';

/** Columns the importer adds to staged rows for linking. Column names of files never become column names of tables. */
export const columnNames = {
  key: (index: number): string => `key_${index}`,
  event: ({ number }: Pick<PlannedEvent, 'number'>): { id: string; occurredAt: string; properties: string } => ({
    id: `event_${number}_id`,
    occurredAt: `event_${number}_at`,
    properties: `event_${number}_properties`,
  }),
  item: ({ event, number }: Pick<PlannedList, 'event' | 'number'>): string => `item_${event}_${number}`,
} as const;

export const stageName = (stage: string): string => `stage_${stage}`;
export const planName = (plan: string): string => `plan_${plan}`;
export const eventTableName = (stage: string): string => `stage_${stage}_event`;

/** The staging table of one file of a set; the root's is named `stage_<n>`, those of linked files `stage_<n>_f<k>`. */
export function fileTable(stage: string, file: Pick<PlannedFile, 'number'>): ReturnType<typeof sql.id> {
  return sql.id(stagingSchema, file.number === 0 ? stageName(stage) : `${stageName(stage)}_f${file.number}`);
}

export function eventTable(stage: string): ReturnType<typeof sql.id> {
  return sql.id(stagingSchema, eventTableName(stage));
}

/** A number no staging or plan table has. It is stored in the file's row before a table bears it, so that none is ever lost sight of. */
export async function nextTableNumber(executor: Executor): Promise<string> {
  const { rows } = await executor.query<{ number: string }>(
    sql`SELECT nextval('importer.table_number')::text AS number`,
  );
  return (rows[0] as { number: string }).number;
}

/** Keys compare by byte: cheaper than any language's order, and never "equal" for texts that differ. */
const keyType = sql`text COLLATE "C"`;

/** Name and type of each linking column of a file, in the order in which they are copied. */
export function linkingColumns(file: PlannedFile): readonly { readonly name: string; readonly type: Sql }[] {
  return [
    ...(file.link === undefined ? [] : [{ name: 'parent_key', type: keyType }]),
    ...file.keyColumns.map((_, index) => ({ name: columnNames.key(index), type: keyType })),
    ...file.events.flatMap((event) => {
      const names = columnNames.event(event);
      return [
        { name: names.id, type: keyType },
        { name: names.occurredAt, type: sql`timestamptz` },
        { name: names.properties, type: sql`jsonb` },
      ];
    }),
    ...file.lists.map((list) => ({ name: columnNames.item(list), type: sql`jsonb` })),
  ];
}

/** The table of a linked file: (line, linking columns). */
export async function createLinkedTable(tx: Transaction, stage: string, file: PlannedFile): Promise<void> {
  const columns = sql.join([sql`line bigint NOT NULL`, ...linkingColumnDefinitions(file)]);
  await tx.query(sql`CREATE UNLOGGED TABLE ${fileTable(stage, file)} (${columns})`);
}

/** The linking columns as parts of a CREATE TABLE. */
export function linkingColumnDefinitions(file: PlannedFile): readonly Sql[] {
  return linkingColumns(file).map(({ name, type }) => sql`${sql.id(name)} ${type}`);
}

/** Whether the staged rows are still there: a crash of the database empties unlogged tables. */
export async function stagingHolds(executor: Executor, stage: string, stagedRows: number): Promise<boolean> {
  const { rows: tables } = await executor.query<{ present: boolean }>(
    sql`SELECT to_regclass(${`${stagingSchema}.${stageName(stage)}`}) IS NOT NULL AS present`,
  );
  if (tables[0]?.present !== true) return false;
  if (stagedRows === 0) return true;
  const { rows } = await executor.query(sql`SELECT 1 FROM ${sql.id(stagingSchema, stageName(stage))} LIMIT 1`);
  return rows.length > 0;
}

/** Drops what bears the number, if anything does. */
export async function dropTables(database: Database, kind: 'stage' | 'plan', number: string): Promise<void> {
  await dropNamed(database, await tablesLike(database, `^${kind}_${number}(_|$)`));
}

/**
 * Drops staging and plan tables no unfinished file refers to: what a crash or a takeover left. A file of an ended run
 * that has chunks applied keeps its plan for a later run to go on with: until its object is imported anew, or `planDays`.
 * Returns how many were dropped.
 */
export async function sweepTables(database: Database, planDays: number): Promise<number> {
  await database.query(sql`
    UPDATE importer.file AS f SET stage_number = NULL, plan_number = NULL
    WHERE (stage_number IS NOT NULL OR plan_number IS NOT NULL)
      AND NOT EXISTS (SELECT FROM work.unit u WHERE u.id = f.unit_id AND u.state IN ('ready', 'running'))
      AND (
        f.state IN ('applied', 'finished', 'skipped') OR f.updated_at < now() - ${planDays}::float8 * interval '1 day'
        OR NOT EXISTS (SELECT FROM importer.chunk c WHERE c.file_id = f.id)
        OR EXISTS (SELECT FROM importer.ledger l
          WHERE l.goal_id = f.goal_id AND l.bucket = f.bucket AND l.key = f.key AND l.finished_at > f.updated_at)
      )`);
  // Tables first, references after: a number is stored before a table bears it, so a new table is never taken for an orphan.
  const tables = await tablesLike(database, '^(stage|plan)_[0-9]+(_|$)');
  const { rows } = await database.query<{ stage: string | null; plan: string | null }>(
    sql`SELECT stage_number::text AS stage, plan_number::text AS plan FROM importer.file WHERE stage_number IS NOT NULL OR plan_number IS NOT NULL`,
  );
  const kept = new Set(rows.flatMap(({ stage, plan }) => [`stage_${stage}`, `plan_${plan}`]));
  const orphans = tables.filter((name) => !kept.has(/^(?:stage|plan)_\d+/.exec(name)?.[0] ?? ''));
  await dropNamed(database, orphans);
  return orphans.length;
}

async function tablesLike(executor: Executor, pattern: string): Promise<readonly string[]> {
  const { rows } = await executor.query<{ name: string }>(sql`
    SELECT relname AS name FROM pg_class
    WHERE relnamespace = ${stagingSchema}::regnamespace AND relkind = 'r' AND relname ~ ${pattern}
    ORDER BY relname`);
  return rows.map((row) => row.name);
}

// One transaction each, and none waits long: a table somebody still reads is left for the next sweep.
async function dropNamed(database: Database, names: readonly string[]): Promise<void> {
  for (const name of names) {
    try {
      await database.transaction(async (tx) => {
        await tx.query(sql`SET LOCAL lock_timeout = '2s'`);
        await tx.query(sql`DROP TABLE IF EXISTS ${sql.id(stagingSchema, name)}`);
      });
    } catch (error) {
      if (!isLockTimeout(error)) throw error;
    }
  }
}

// https://www.postgresql.org/docs/current/errcodes-appendix.html: lock_not_available
function isLockTimeout(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '55P03';
}
