import { sql, type Database, type Executor, type Transaction } from '@millrace/database';
import { InputError, type SegmentDefinition, type SegmentRule } from '@millrace/domain';
import { compileSegment } from '@millrace/mapping';
import { listLifecycles } from '../definitions/lifecycles.js';
import { loadCatalogue } from '../definitions/load-catalogue.js';
import { lockDefinitions } from '../definitions/lock-definitions.js';

export interface SegmentRecord extends SegmentDefinition {
  readonly id: string;
  readonly version: number;
  /** `building` until the memberships of the newest version stand. */
  readonly state: 'building' | 'current';
  readonly members: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A new segment; its memberships are built in the background. InputError where the rule does not fit the workspace. */
export async function createSegment(
  database: Database,
  workspaceId: number,
  definition: SegmentDefinition,
): Promise<SegmentRecord> {
  return database.transaction(async (tx) => {
    await checkRule(tx, workspaceId, definition.rule);
    const { rows } = await tx.query<{ id: string }>(
      sql`INSERT INTO profile.segment (workspace_id, name) VALUES (${workspaceId}, ${definition.name}) ON CONFLICT DO NOTHING RETURNING id`,
    );
    const row = rows[0];
    if (row === undefined)
      throw new InputError('segment-conflict', `the segment ${JSON.stringify(definition.name)} exists already`, {
        at: 'name',
      });
    await addVersion(tx, row.id, definition.rule);
    return segmentById(tx, workspaceId, row.id);
  });
}

/** A changed rule becomes a new version, and the present memberships stand until its build is done. */
export async function updateSegment(
  database: Database,
  workspaceId: number,
  id: string,
  definition: SegmentDefinition,
): Promise<SegmentRecord> {
  return database.transaction(async (tx) => {
    await checkRule(tx, workspaceId, definition.rule);
    const present = await segmentById(tx, workspaceId, id);
    const { rowCount } = await tx.query(sql`
      UPDATE profile.segment SET name = ${definition.name}, updated_at = now()
      WHERE id = ${id}::uuid AND NOT EXISTS (SELECT FROM profile.segment WHERE workspace_id = ${workspaceId} AND name = ${definition.name} AND id <> ${id}::uuid)`);
    if (rowCount === 0)
      throw new InputError('segment-conflict', `the segment ${JSON.stringify(definition.name)} exists already`, {
        at: 'name',
      });
    // Compared as jsonb: the stored rule has its keys in another order.
    const same = await tx.query<{ same: boolean }>(
      sql`SELECT ${JSON.stringify(present.rule)}::jsonb = ${JSON.stringify(definition.rule)}::jsonb AS same`,
    );
    if (same.rows[0]?.same !== true) await addVersion(tx, id, definition.rule);
    return segmentById(tx, workspaceId, id);
  });
}

/**
 * Removes the segment and its memberships.
 * @param checkUse throws where somebody still uses it: asked while the definitions are held alone, so that whoever saves a use
 *   under the shared lock either comes before, and is seen, or after, and finds no segment
 */
export async function deleteSegment(
  database: Database,
  workspaceId: number,
  id: string,
  checkUse: (tx: Transaction) => Promise<void> = async () => undefined,
): Promise<void> {
  await database.transaction(async (tx) => {
    await lockDefinitions(tx, workspaceId, 'exclusive');
    await segmentById(tx, workspaceId, id);
    await checkUse(tx);
    const stageOf = (await listLifecycles(tx, workspaceId)).find(({ stages }) =>
      stages.some(({ segmentId }) => segmentId === id),
    );
    if (stageOf !== undefined)
      throw new InputError(
        'segment-in-use-conflict',
        `the segment is a stage of the lifecycle ${JSON.stringify(stageOf.name)}: change or delete that first`,
      );
    for (const table of ['membership', 'membership_build', 'membership_timer']) {
      await tx.query(sql`DELETE FROM ${sql.id('profile', table)} WHERE segment_id = ${id}::uuid`);
    }
    await tx.query(sql`DELETE FROM profile.segment WHERE id = ${id}::uuid`);
  });
}

async function checkRule(tx: Transaction, workspaceId: number, rule: SegmentRule): Promise<void> {
  // Alone, so that every later writer keeps the new version as well.
  await lockDefinitions(tx, workspaceId, 'exclusive');
  const { condition, nextCheck } = compileSegment(rule, await loadCatalogue(tx, workspaceId));
  // PostgreSQL has the last word on whether the rule can be evaluated.
  await tx.query(sql`SELECT ${condition}, ${nextCheck ?? sql`NULL::timestamptz`} FROM profile.profile p WHERE false`);
}

async function addVersion(tx: Transaction, segmentId: string, rule: SegmentRule): Promise<void> {
  await tx.query(
    sql`UPDATE profile.segment_version SET state = 'retired' WHERE segment_id = ${segmentId}::uuid AND state = 'building'`,
  );
  await tx.query(sql`DELETE FROM profile.membership_build WHERE segment_id = ${segmentId}::uuid`);
  await tx.query(sql`
    INSERT INTO profile.segment_version (segment_id, version, rule, state)
    SELECT ${segmentId}::uuid, coalesce(max(version), 0) + 1, ${JSON.stringify(rule)}::jsonb, 'building'
    FROM profile.segment_version WHERE segment_id = ${segmentId}::uuid`);
}

interface SegmentRow {
  readonly id: string;
  readonly name: string;
  readonly rule: string;
  readonly version: number;
  readonly state: 'building' | 'current';
  readonly members: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

async function selectSegments(
  executor: Executor,
  workspaceId: number,
  id: string | undefined,
): Promise<readonly SegmentRecord[]> {
  const { rows } = await executor.query<SegmentRow>(sql`
    SELECT s.id, s.name, v.rule, v.version, v.state, s.created_at AS "createdAt", s.updated_at AS "updatedAt",
      (SELECT count(*)::float8 FROM profile.membership m WHERE m.segment_id = s.id AND m.status = 'realized') AS members
    FROM profile.segment s
    CROSS JOIN LATERAL (
      SELECT rule, version, state FROM profile.segment_version WHERE segment_id = s.id AND state <> 'retired' ORDER BY version DESC LIMIT 1
    ) v
    WHERE s.workspace_id = ${workspaceId} AND (${id ?? null}::uuid IS NULL OR s.id = ${id ?? null}::uuid)
    ORDER BY s.name`);
  return rows.map((row) => ({ ...row, rule: JSON.parse(row.rule) as SegmentRule }));
}

export async function listSegments(executor: Executor, workspaceId: number): Promise<readonly SegmentRecord[]> {
  return selectSegments(executor, workspaceId, undefined);
}

/** InputError('segment-not-found'). */
export async function segmentById(executor: Executor, workspaceId: number, id: string): Promise<SegmentRecord> {
  const [segment] = await selectSegments(executor, workspaceId, id);
  if (segment === undefined) throw new InputError('segment-not-found', `the workspace has no segment ${id}`);
  return segment;
}
