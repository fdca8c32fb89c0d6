import { Database, migrate, sql, type Transaction } from '@millrace/database';
import { createTestDatabase } from '@millrace/testing';
import { forgetScratchTables, scratchTable } from '../src/profiles/scratch-table.js';

describe('a scratch table', () => {
  let database: Database;
  let drop: () => Promise<void>;

  beforeAll(async () => {
    const testDatabase = await createTestDatabase('scratch', { migrate, sets: [] });
    drop = testDatabase.drop;
    // One connection: every transaction finds what the one before left.
    database = new Database({ url: testDatabase.url, applicationName: 'scratch-table-test', maxConnections: 1 });
  });

  afterAll(async () => {
    await database.end();
    await drop();
  });

  const columns = sql`id int PRIMARY KEY, name text`;
  const fill = (tx: Transaction): Promise<unknown> => tx.query(sql`INSERT INTO scratch (id, name) VALUES (1, 'one')`);
  const identity = async (tx: Transaction): Promise<number> => {
    const { rows } = await tx.query<{ oid: number; rows: number }>(
      sql`SELECT 'pg_temp.scratch'::regclass::oid::int AS oid, (SELECT count(*) FROM scratch)::int AS rows`,
    );
    expect(rows[0]!.rows).toBe(0);
    return rows[0]!.oid;
  };

  it('is the same table for the next transaction, and empty, after a commit and after a failure', async () => {
    const first = await database.transaction(async (tx) => {
      await scratchTable(tx, 'scratch', columns);
      const made = await identity(tx);
      await fill(tx);
      return made;
    });
    const failed = database.transaction(async (tx) => {
      await scratchTable(tx, 'scratch', columns);
      expect(await identity(tx)).toBe(first);
      await fill(tx);
      throw new Error('changed my mind');
    });
    await expect(failed).rejects.toThrow('changed my mind');
    await database.transaction(async (tx) => {
      await scratchTable(tx, 'scratch', columns);
      expect(await identity(tx)).toBe(first);
    });
  });

  it('is empty when it is asked for again in one transaction', async () => {
    await database.transaction(async (tx) => {
      await scratchTable(tx, 'scratch', columns);
      await fill(tx);
      await scratchTable(tx, 'scratch', columns);
      await identity(tx);
    });
  });

  it('is made anew with other columns', async () => {
    const columnsNow = async (): Promise<unknown> => {
      const { rows } = await database.query(sql`
        SELECT attname FROM pg_attribute WHERE attrelid = 'pg_temp.scratch'::regclass AND attnum > 0 ORDER BY attnum`);
      return rows.map((row) => row['attname']);
    };
    await database.transaction((tx) => scratchTable(tx, 'scratch', sql`line bigint`));
    expect(await columnsNow()).toEqual(['line']);
    await database.transaction((tx) => scratchTable(tx, 'scratch', columns));
    expect(await columnsNow()).toEqual(['id', 'name']);
  });

  it('is there again, empty, after a rollback to a savepoint before it was made', async () => {
    await database.query(sql`DROP TABLE pg_temp.scratch`);
    await database.transaction(async (tx) => {
      await tx.query(sql`SAVEPOINT before_it`);
      await scratchTable(tx, 'scratch', columns);
      await fill(tx);
      await tx.query(sql`ROLLBACK TO SAVEPOINT before_it`);
      forgetScratchTables(tx);
      await scratchTable(tx, 'scratch', columns);
      await identity(tx);
    });
  });
});
