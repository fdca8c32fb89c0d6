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
