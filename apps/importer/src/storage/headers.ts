import { sql, type Executor } from '@millrace/database';

/** A table's columns as mappings name them: by header, or by position from 1. */
export function namesOf({
  header,
  columns,
}: {
  readonly header: readonly string[] | undefined;
  readonly columns: number;
}): readonly string[] {
  return header ?? Array.from({ length: columns }, (_, index) => String(index + 1));
}

/** Remembers the columns of one file of a set, so that its rejected rows can be shown by column later. */
export async function saveHeader(
  executor: Executor,
  fileId: string,
  alias: string,
  names: readonly string[],
): Promise<void> {
  await executor.query(
    sql`UPDATE importer.file SET headers = headers || jsonb_build_object(${alias}::text, ${JSON.stringify(names)}::jsonb) WHERE id = ${fileId}`,
  );
}

/** The columns that the last file of this kind had which the goal imported, dry runs aside. */
export async function lastHeader(
  executor: Executor,
  goalId: string,
  alias: string,
): Promise<{ readonly name: string; readonly columns: readonly string[] } | undefined> {
  const { rows } = await executor.query<{ name: string; columns: string }>(sql`
    SELECT coalesce((SELECT m->>'key' FROM jsonb_array_elements(members) AS m WHERE m->>'alias' = ${alias}), key) AS name,
      (headers->${alias}::text)::text AS columns
    FROM importer.file
    WHERE goal_id = ${goalId} AND state IN ('applied', 'finished') AND rehearsal IS NULL AND headers ? ${alias}
    ORDER BY id DESC LIMIT 1`);
  const [row] = rows;
  return row === undefined ? undefined : { name: row.name, columns: JSON.parse(row.columns) as string[] };
}
