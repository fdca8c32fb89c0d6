import { sql, type Sql, type Transaction } from '@millrace/database';

interface Scratch {
  readonly columns: string;
  /** May hold rows of this transaction. */
  used: boolean;
}

const scratchOf = new WeakMap<Transaction, Map<string, Scratch>>();
const rolledBack = new WeakSet<Transaction>();

/**
 * An empty temporary table for the rest of the transaction, in place of what had the name before. The table itself stays with
 * the connection, without rows, for its next transaction: a table made anew for every batch costs more, in rows of the catalogue,
 * than a small batch's own work. `columns`: as in CREATE TABLE, without values.
 */
export async function scratchTable(tx: Transaction, name: string, columns: Sql): Promise<void> {
  let tables = scratchOf.get(tx);
  if (tables === undefined) scratchOf.set(tx, (tables = await findTables(tx)));
  const { text } = columns.toQuery();
  const table = sql.id('pg_temp', name);
  const known = tables.get(name);
  if (known?.columns === text) {
    if (known.used) await tx.query(sql`DELETE FROM ${table}`);
    known.used = true;
    return;
  }
  await tx.query(sql`DROP TABLE IF EXISTS ${table}`);
  await tx.query(sql`CREATE TEMP TABLE ${sql.id(name)} (${columns}) ON COMMIT DELETE ROWS`);
  await tx.query(sql`COMMENT ON TABLE ${table} IS ${sql.literal(text)}`);
  tables.set(name, { columns: text, used: true });
}

/** To be called after a rollback to a savepoint: tables made since it are gone. */
export function forgetScratchTables(tx: Transaction): void {
  scratchOf.delete(tx);
  rolledBack.add(tx);
}

/** What the connection has. The comment tells the columns, so that a table of another release is not taken for ours. */
async function findTables(tx: Transaction): Promise<Map<string, Scratch>> {
  const { rows } = await tx.query<{ name: string; columns: string }>(sql`
    SELECT c.relname AS name, d.description AS columns
    FROM pg_class c JOIN pg_description d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0
    WHERE c.relnamespace = pg_my_temp_schema() AND c.relkind = 'r'`);
  return new Map(rows.map(({ name, columns }) => [name, { columns, used: rolledBack.has(tx) }]));
}
