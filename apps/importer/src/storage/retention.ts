import { sql, type Database } from '@millrace/database';

/** How many days the importer keeps what it knows beside the ledger, which stays: without it files would be imported again. */
export interface ImportRetention {
  /** Rejected rows, which hold personal data, after the end of their run. */
  readonly rejectDays: number;
  /** Samples of dry runs, which hold personal data too. */
  readonly sampleDays: number;
  /** The plan of a file of which some chunks are applied, for a run to go on with. */
  readonly planDays: number;
  /** How far each file of each run came, with its counts. */
  readonly fileDays: number;
}

export const defaultRetention: ImportRetention = { rejectDays: 30, sampleDays: 30, planDays: 30, fileDays: 400 };

// A statement at a time, so that no sweep holds many rows for long.
const atOnce = 5000;

/**
 * Removes what is kept no longer, for runs that are over. The last file a goal imported stays whatever its age: the columns of
 * the next one are compared with its own. Returns how many rows were removed.
 */
export async function removeExpiredImports(database: Database, retention: ImportRetention): Promise<number> {
  const older = (days: number): ReturnType<typeof sql> => sql`f.updated_at < now() - ${days}::float8 * interval '1 day'
    AND NOT EXISTS (SELECT FROM work.unit u WHERE u.id = f.unit_id AND u.state IN ('ready', 'running'))`;
  const statements = [
    sql`DELETE FROM importer.reject WHERE id IN (
      SELECT r.id FROM importer.reject r JOIN importer.file f ON f.id = r.file_id
      WHERE ${older(retention.rejectDays)} LIMIT ${atOnce})`,
    sql`UPDATE importer.file SET rehearsal = rehearsal || '{"samples": []}' WHERE id IN (
      SELECT f.id FROM importer.file f
      WHERE f.rehearsal->'samples' <> '[]' AND ${older(retention.sampleDays)} LIMIT ${atOnce})`,
    sql`DELETE FROM importer.file WHERE id IN (
      SELECT f.id FROM importer.file f
      WHERE ${older(retention.fileDays)} AND f.stage_number IS NULL AND f.plan_number IS NULL
        AND (f.state <> 'finished' OR f.rehearsal IS NOT NULL OR EXISTS (
          SELECT FROM importer.file later WHERE later.goal_id = f.goal_id AND later.id > f.id
            AND later.state = 'finished' AND later.rehearsal IS NULL))
      LIMIT ${atOnce})`,
  ];
  let removed = 0;
  for (const statement of statements) {
    for (let count = atOnce; count >= atOnce;) {
      count = (await database.query(statement)).rowCount;
      removed += count;
    }
  }
  return removed;
}
