import { isUniqueViolation, sql, type Sql, type Transaction } from '@millrace/database';

/**
 * Inserts rows whose keys nobody has as a rule: without ON CONFLICT each key is looked up once instead of twice. Resolves with
 * the number of rows, or with undefined, and nothing written, where one of the keys is taken.
 */
export async function insertUnlessTaken(tx: Transaction, insert: Sql): Promise<number | undefined> {
  await tx.query(sql`SAVEPOINT unless_taken`);
  try {
    const { rowCount } = await tx.query(insert);
    await tx.query(sql`RELEASE SAVEPOINT unless_taken`);
    return rowCount;
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    await tx.query(sql`ROLLBACK TO SAVEPOINT unless_taken`);
    await tx.query(sql`RELEASE SAVEPOINT unless_taken`);
    return undefined;
  }
}
