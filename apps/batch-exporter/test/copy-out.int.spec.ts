import { Database, migrate, sql } from '@millrace/database';
import { createTestDatabase, type TestDatabase } from '@millrace/testing';

describe('COPY out', () => {
  let testDatabase: TestDatabase;
  let database: Database;

  beforeAll(async () => {
    testDatabase = await createTestDatabase('copy_out', { migrate, sets: [] });
    database = new Database({ url: testDatabase.url, applicationName: 'test', maxConnections: 2 });
  });

  afterAll(async () => {
    await database.end();
    await testDatabase.drop();
  });

  it('hands out whole rows of any size, in order, and leaves the session to the next statement', async () => {
    const sizes = [0, 1, 5, 4_000, 70_000, 131_071, 131_072, 400_000, 3_000_000, 2];
    await database.transaction(async (tx) => {
      const copy = tx.copyOut(
        sql`COPY (SELECT repeat('é', size) || number FROM unnest(ARRAY[${sql.join(sizes.map((size) => sql.integer(size)))}]) WITH ORDINALITY AS s(size, number)) TO STDOUT`,
      );
      const rows: string[] = [];
      for await (const { bytes, ends } of copy) {
        let start = 0;
        for (const end of ends) {
          rows.push(bytes.subarray(start, end).toString());
          start = end;
        }
        expect(start).toBe(bytes.length);
      }
      expect(rows.map((row) => row.length)).toEqual(sizes.map((size, index) => size + `${index + 1}\n`.length));
      expect(rows.map((row) => row.replaceAll('é', ''))).toEqual(sizes.map((_, index) => `${index + 1}\n`));
      expect((await tx.query<{ one: number }>(sql`SELECT 1 AS one`)).rows).toEqual([{ one: 1 }]);
    });
  });

  it('ends without rows, and with the error of the server behind some', async () => {
    const count = async (query: ReturnType<typeof sql>): Promise<number> =>
      database.transaction(async (tx) => {
        let rows = 0;
        for await (const { ends } of tx.copyOut(sql`COPY (${query}) TO STDOUT`)) rows += ends.length;
        return rows;
      });
    expect(await count(sql`SELECT 1 WHERE false`)).toBe(0);
    expect(await count(sql`SELECT repeat('x', 500) FROM generate_series(1, 20000)`)).toBe(20_000);
    await expect(count(sql`SELECT 1 / (50000 - number) FROM generate_series(1, 60000) AS number`)).rejects.toThrow(
      /division by zero/,
    );
    expect(await count(sql`SELECT 1`)).toBe(1);
  });
});
