import { sql, type Executor } from '@millrace/database';
import { importCounts, type ImportCounts, type RehearsalSample } from '@millrace/domain';

/** What a dry run found out about one file beside its counts. */
export interface Rehearsal {
  readonly profilesCleared: number;
  readonly samples: readonly RehearsalSample[];
}

export interface RehearsedFile extends Rehearsal {
  readonly name: string;
  readonly goalId: string;
  readonly counts: ImportCounts;
}

/** The files of a dry run that were rehearsed, with up to five of their rejects beside the samples. */
export async function rehearsedFiles(executor: Executor, runId: string): Promise<readonly RehearsedFile[]> {
  const { rows } = await executor.query<{
    key: string;
    goal_id: string;
    counts: string;
    rehearsal: string;
    rejects: string;
  }>(sql`
    SELECT f.key, f.goal_id, f.counts, f.rehearsal, (
      SELECT coalesce(json_agg(json_build_object('outcome', 'rejected', 'line', first.line, 'column', first.column_name,
          'reason', first.message)), '[]')
      FROM (
        SELECT r.line, r.column_name, r.message FROM importer.reject r
        WHERE r.file_id = f.id AND r.stage_number = f.reject_stage AND r.scope = 'row' ORDER BY r.id LIMIT 5
      ) AS first
    ) AS rejects
    FROM importer.file f WHERE f.run_id = ${runId} AND f.rehearsal IS NOT NULL ORDER BY f.position, f.id`);
  return rows.map((row) => {
    const { profilesCleared, samples } = JSON.parse(row.rehearsal) as Rehearsal;
    const rejected = (JSON.parse(row.rejects) as (RehearsalSample & { column: string | null })[]).map(
      ({ column, ...sample }) => (column === null ? sample : { ...sample, column }),
    );
    return {
      name: row.key,
      goalId: row.goal_id,
      counts: importCounts.parse(JSON.parse(row.counts)),
      profilesCleared,
      samples: [...samples, ...rejected],
    };
  });
}
