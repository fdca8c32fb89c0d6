import { sql, type Database } from '@millrace/database';
import { gate } from '@millrace/testing';

export interface Identity {
  readonly namespace: string;
  readonly value: string;
}

/**
 * Locks the row of the profile that has the identity, as another writer would: whoever is to write it waits.
 * Resolves, once it is locked, with the function that lets go.
 */
export async function holdProfile(
  database: Database,
  workspace: string,
  identity: Identity | undefined,
): Promise<() => Promise<void>> {
  if (identity === undefined) throw new RangeError('no profile to hold');
  const locked = gate();
  const letGo = gate();
  const held = database.transaction(async (tx) => {
    const { rows } = await tx.query(sql`
      SELECT p.id FROM profile.profile p
      JOIN profile.identity i ON i.profile_id = p.id
      JOIN profile.identity_namespace n ON n.id = i.namespace_id AND n.code = ${identity.namespace}
      JOIN profile.workspace w ON w.id = p.workspace_id AND w.name = ${workspace}
      WHERE i.value = ${identity.value} FOR UPDATE OF p`);
    if (rows.length !== 1) throw new Error(`${rows.length} profiles have ${identity.namespace} ${identity.value}`);
    locked.open();
    await letGo.opened;
  });
  await Promise.race([locked.opened, held]);
  return async () => {
    letGo.open();
    await held;
  };
}

/** Whether somebody waits for a lock. */
export async function somebodyWaits(database: Database): Promise<boolean> {
  const { rows } = await database.query(sql`
    SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND state = 'active'`);
  return rows.length > 0;
}

/** Chunks of the run's files that are applied, and how many there are beside the final ones. */
export async function chunksOf(
  database: Database,
  runId: string,
): Promise<{ readonly applied: number; readonly planned: number }> {
  const { rows } = await database.query<{ applied: number; planned: number }>(sql`
    SELECT (SELECT count(*) FROM importer.chunk c JOIN importer.file f ON f.id = c.file_id WHERE f.run_id = ${runId})::int AS applied,
      (SELECT coalesce(sum(chunk_count), 0) FROM importer.file WHERE run_id = ${runId})::int AS planned`);
  return rows[0] ?? { applied: 0, planned: 0 };
}

/** Units of the run that a worker has or may take. */
export async function openUnits(
  database: Database,
  runId: string,
): Promise<readonly { readonly queue: string; readonly state: string }[]> {
  const { rows } = await database.query<{ queue: string; state: string }>(sql`
    SELECT queue, state FROM work.unit WHERE run_id = ${runId} AND state IN ('ready', 'running') ORDER BY queue, id`);
  return rows;
}
