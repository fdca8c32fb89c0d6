import { boxCloser } from '@millrace/crypto';
import { type Executor, sql, type Transaction } from '@millrace/database';
import { lockDefinitions } from '../definitions/lock-definitions.js';

/** A goal whose receiver must be told of the erased by what it knows them by. */
export interface ErasureReader {
  readonly goalId: string;
  readonly workspaceId: number;
  /** Those ever in one of them. */
  readonly segmentIds: readonly string[];
  /** Whose identities the receiver knows. */
  readonly namespaceIds: readonly number[];
  /** What for it is closed with, X25519 of 32 bytes: only the service that writes the goal's files opens it. */
  readonly publicKey: Uint8Array;
}

const profilesAtOnce = 2000;

/**
 * From the commit on, every erasure leaves last words for the goal. Waits for erasures under way, and changes nothing where it is
 * known already.
 */
export async function registerErasureReader(tx: Transaction, reader: ErasureReader): Promise<void> {
  if (await isRegistered(tx, reader)) return;
  await lockDefinitions(tx, reader.workspaceId, 'exclusive');
  await tx.query(sql`
    INSERT INTO profile.erasure_reader (goal_id, workspace_id, segment_ids, namespace_ids, public_key)
    VALUES (${reader.goalId}::uuid, ${reader.workspaceId}, ${reader.segmentIds}::uuid[], ${reader.namespaceIds}::int[], ${Buffer.from(reader.publicKey)})
    ON CONFLICT (goal_id) DO UPDATE SET segment_ids = excluded.segment_ids, namespace_ids = excluded.namespace_ids,
      public_key = excluded.public_key, registered_at = now()`);
}

async function isRegistered(executor: Executor, reader: ErasureReader): Promise<boolean> {
  const { rowCount } = await executor.query(sql`
    SELECT FROM profile.erasure_reader WHERE goal_id = ${reader.goalId}::uuid AND segment_ids = ${reader.segmentIds}::uuid[]
      AND namespace_ids = ${reader.namespaceIds}::int[] AND public_key = ${Buffer.from(reader.publicKey)}`);
  return rowCount === 1;
}

/** What was left for it goes with it. Waits for erasures under way, if it is there at all. */
export async function removeErasureReader(tx: Transaction, goalId: string): Promise<void> {
  const { rows } = await tx.query<{ workspace_id: number }>(
    sql`SELECT workspace_id FROM profile.erasure_reader WHERE goal_id = ${goalId}::uuid`,
  );
  const [reader] = rows;
  if (reader === undefined) return;
  await lockDefinitions(tx, reader.workspace_id, 'exclusive');
  await tx.query(sql`DELETE FROM profile.erasure_reader WHERE goal_id = ${goalId}::uuid`);
}

/** Where the last words of a profile for a goal belong: they open nowhere else. */
export function lastWordsPlace(goalId: string, profileId: string): string {
  return `last words of ${profileId} for ${goalId}`;
}

/**
 * Leaves, for every goal that tells its receiver of the erased, the identities of those in the temporary table `erasing`, sealed for the
 * service that writes the goal's files: `{"identities": {"<namespace id>": [value, ...]}}`, oldest first. Their tombstones are there already.
 */
export async function leaveLastWords(tx: Transaction, workspaceId: number): Promise<void> {
  const { rows: readers } = await tx.query<ReaderRecord>(sql`
    SELECT goal_id, segment_ids, namespace_ids, public_key FROM profile.erasure_reader WHERE workspace_id = ${workspaceId}`);
  for (const reader of readers) await leaveFor(tx, reader);
}

interface ReaderRecord {
  readonly goal_id: string;
  readonly segment_ids: readonly string[];
  readonly namespace_ids: readonly number[];
  readonly public_key: Buffer;
}

async function leaveFor(tx: Transaction, reader: ReaderRecord): Promise<void> {
  const { goal_id: goalId, segment_ids: segmentIds, namespace_ids: namespaceIds } = reader;
  const close = boxCloser(reader.public_key);
  let after = '00000000-0000-0000-0000-000000000000';
  for (;;) {
    const { rows } = await tx.query<{ profile_id: string; identities: string | null }>(sql`
      SELECT e.profile_id, (
        SELECT jsonb_object_agg(namespace_id, list) FROM (
          SELECT i.namespace_id, jsonb_agg(i.value ORDER BY i.created_at, i.value) AS list FROM profile.identity i
          WHERE i.profile_id = e.profile_id AND i.namespace_id = ANY (${namespaceIds}::int[]) GROUP BY i.namespace_id
        ) AS by_namespace) AS identities
      FROM erasing e
      WHERE e.profile_id > ${after}::uuid AND EXISTS (
        SELECT FROM profile.membership m WHERE m.profile_id = e.profile_id AND m.segment_id = ANY (${segmentIds}::uuid[]))
      ORDER BY e.profile_id LIMIT ${profilesAtOnce}::int`);
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last.profile_id;
    const known = rows.filter(({ identities }) => identities !== null);
    const boxes = known.map((row) => close(`{"identities":${row.identities}}`, lastWordsPlace(goalId, row.profile_id)));
    await tx.query(sql`
      INSERT INTO profile.last_words (goal_id, profile_id, sealed)
      SELECT ${goalId}::uuid, * FROM unnest(${known.map((row) => row.profile_id)}::uuid[], ${boxes}::text[])`);
  }
}
