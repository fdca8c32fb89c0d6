import { sql, type Sql, type Transaction } from '@millrace/database';
import type { RehearsalSample } from '@millrace/domain';
import { applyChunk, applyMoved, type ChunkCounts, type MergeShape, type MovedCounts } from '@millrace/profile-store';

export interface RehearsedChunk {
  readonly counts: readonly (ChunkCounts | MovedCounts)[];
  readonly profilesCleared: number;
  readonly samples: readonly RehearsalSample[];
}

export const samplesPerOutcome = 5;
// As in an import; there the rounds are transactions of their own.
const maxMovedRounds = 20;

/**
 * Applies a chunk exactly as an import does and looks at what became of its profiles. The caller rolls back.
 * @param chunks how many the plan has: what moved is applied under numbers behind them
 */
export async function rehearseChunk(
  tx: Transaction,
  shape: MergeShape,
  chunk: number,
  chunks: number,
): Promise<RehearsedChunk> {
  const plan = sql.id(shape.plan.schema, shape.plan.name);
  // Groups have no version; what does not show in their properties is no change.
  const store =
    shape.groupTypeId === undefined
      ? sql`profile.profile`
      : sql`(SELECT id, properties, 0::bigint AS version FROM profile.group)`;
  await tx.query(sql`DROP TABLE IF EXISTS rehearsal_before`);
  await tx.query(sql`
    CREATE TEMP TABLE rehearsal_before ON COMMIT DROP AS
    SELECT pl.component, p.id, p.properties, p.version
    FROM ${plan} pl JOIN ${store} p ON p.id = pl.profile_id
    WHERE pl.chunk = ${sql.integer(chunk)} AND pl.status IN ('a', 'e') AND NOT pl.is_new`);
  const counts: (ChunkCounts | MovedCounts)[] = [await applyChunk(tx, shape, chunk)];
  for (let round = 0; (counts.at(-1)?.moved ?? 0) > 0; round += 1) {
    if (round > maxMovedRounds) throw new Error('profiles kept moving while a chunk was rehearsed');
    counts.push(await applyMoved(tx, shape, chunks + round));
  }
  const cleared = sql`EXISTS (SELECT FROM jsonb_object_keys(b.properties) AS k WHERE NOT p.properties ? k)`;
  const joined = sql`FROM rehearsal_before b JOIN ${store} p ON p.id = b.id`;
  const { rows } = await tx.query<{ cleared: number }>(
    sql`SELECT count(*) FILTER (WHERE ${cleared})::float8 AS cleared ${joined}`,
  );
  const changed = sql`(p.version <> b.version OR p.properties IS DISTINCT FROM b.properties)`;
  const samples = [
    ...(await sample(
      tx,
      'created',
      sql`SELECT pl.component AS line, NULL AS profile_id, NULL AS before, p.properties AS after
        FROM ${plan} pl JOIN ${store} p ON p.id = pl.profile_id
        WHERE pl.chunk = ${sql.integer(chunk)} AND pl.status = 'a' AND pl.is_new`,
    )),
    ...(await sample(tx, 'updated', sql`SELECT ${difference} ${joined} WHERE ${changed} AND NOT ${cleared}`)),
    ...(await sample(tx, 'cleared', sql`SELECT ${difference} ${joined} WHERE ${cleared}`)),
    ...(await sample(
      tx,
      'unchanged',
      sql`SELECT b.component AS line, b.id AS profile_id, NULL AS before, NULL AS after ${joined} WHERE NOT ${changed}`,
    )),
  ];
  samples.push(
    ...(await sample(
      tx,
      'erased',
      sql`SELECT b.component AS line, b.id AS profile_id, NULL AS before, NULL AS after
        FROM rehearsal_before b WHERE NOT EXISTS (SELECT FROM ${store} p WHERE p.id = b.id)`,
    )),
  );
  samples.push(
    ...(await sampleHeldBack(tx, shape, sql`chunk = ${sql.integer(chunk)} OR chunk >= ${sql.integer(chunks)}`)),
  );
  return { counts, profilesCleared: rows[0]?.cleared ?? 0, samples };
}

/** Rows whose profile was held back. */
async function sampleHeldBack(tx: Transaction, shape: MergeShape, chosen: Sql): Promise<readonly RehearsalSample[]> {
  const plan = sql.id(shape.plan.schema, shape.plan.name);
  const { rows } = await tx.query<{ line: number; status: 'w' | 'g' | 'f' }>(sql`
    SELECT component::float8 AS line, status FROM ${plan} WHERE status IN ('w', 'g', 'f') AND (${chosen}) ORDER BY component LIMIT ${samplesPerOutcome}`);
  const reasons = {
    w: 'the profile consents to none of the objectives of the connection',
    g: 'the person was erased after the row was written',
    f: 'the profile belongs to another organizational unit',
  } as const;
  return rows.map(({ line, status }) => ({ outcome: 'withheld', line, reason: reasons[status] }));
}

/** The properties that differ, as they were and as they are now. */
const difference: Sql = sql`b.component AS line, b.id AS profile_id,
  (SELECT coalesce(jsonb_object_agg(k, b.properties->k), '{}') FROM jsonb_object_keys(b.properties) AS k
    WHERE b.properties->k IS DISTINCT FROM p.properties->k) AS before,
  (SELECT coalesce(jsonb_object_agg(k, p.properties->k), '{}') FROM jsonb_object_keys(p.properties) AS k
    WHERE b.properties->k IS DISTINCT FROM p.properties->k) AS after`;

async function sample(
  tx: Transaction,
  outcome: RehearsalSample['outcome'],
  query: Sql,
): Promise<readonly RehearsalSample[]> {
  const { rows } = await tx.query<{
    line: number;
    profile_id: string | null;
    before: string | null;
    after: string | null;
  }>(sql`
    SELECT line::float8 AS line, profile_id::text AS profile_id, before::text AS before, after::text AS after
    FROM (${query} ORDER BY line LIMIT ${samplesPerOutcome}) AS found`);
  return rows.map((row) => ({
    outcome,
    line: row.line,
    ...(row.profile_id === null ? {} : { profileId: row.profile_id }),
    ...(row.before === null ? {} : { before: JSON.parse(row.before) as Record<string, unknown> }),
    ...(row.after === null ? {} : { after: JSON.parse(row.after) as Record<string, unknown> }),
  }));
}

/** Rows of the plan that nothing would be done with. */
export async function sampleUnapplied(tx: Transaction, shape: MergeShape): Promise<readonly RehearsalSample[]> {
  const plan = sql.id(shape.plan.schema, shape.plan.name);
  const { rows } = await tx.query<{ line: number; status: 'u' | 'x' | 'o' }>(sql`
    SELECT component::float8 AS line, status FROM (
      SELECT component, status, row_number() OVER (PARTITION BY status = 'u' ORDER BY component) AS place
      FROM ${plan} WHERE status IN ('u', 'x', 'o')
    ) AS unapplied WHERE place <= ${samplesPerOutcome} ORDER BY component`);
  const reasons = {
    u: 'no profile has these identifiers, and the goal does not allow creation',
    x: 'the identifiers belong to more than one profile',
    o: 'more rows name each other than the goal allows',
  } as const;
  return rows.map(({ line, status }) => ({
    outcome: status === 'u' ? 'unmatched' : 'ambiguous',
    line,
    reason: reasons[status],
  }));
}
