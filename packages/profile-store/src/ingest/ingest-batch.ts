import { sql, type Transaction } from '@millrace/database';
import { TransientError, type IngestionResult } from '@millrace/domain';
import { domainGroupOf, type Catalogue } from '@millrace/mapping';
import { applyChunk } from '../merge/apply-chunk.js';
import { feedsOfTypes } from '../merge/feed-products.js';
import { createStagingTable, tableOf, type MergeShape, type PlanStatus } from '../merge/merge-shape.js';
import { resolveRows } from '../merge/resolve-rows.js';
import { forgetScratchTables } from '../profiles/scratch-table.js';
import { identityColumns, insertEvents, insertRows, keepOrder, mixesRules, partsOf } from './stage-rows.js';
import { stageUpdate, type StagedUpdate } from './stage-update.js';

type ItemResult = IngestionResult['items'][number];
/** By line. */
type Outcomes = ReadonlyMap<number, Omit<ItemResult, 'index'>>;

const temporary = {
  staging: 'ingest_stage',
  plan: 'ingest_plan',
  planLines: 'ingest_plan_line',
  events: 'ingest_event',
} as const;

// Each attempt takes what moved during the one before; only writers that keep racing for the same identities need more than two.
const maxAttempts = 20;

export interface IngestOptions {
  readonly allowCreation: boolean;
  /** Whose profiles the updates may find, and where new ones belong; absent: the default one. */
  readonly domainGroupId?: string | undefined;
}

/**
 * Applies a batch of profile updates through the same resolve and apply as files, inside the caller's transaction.
 * Items act in their order; each has exactly one outcome, and a rejected one names its field. Values come from a parser that keeps
 * numbers exact (lossless-json) or from plain JSON.
 */
export async function ingestBatch(
  tx: Transaction,
  catalogue: Catalogue,
  updates: readonly unknown[],
  options: IngestOptions,
): Promise<readonly ItemResult[]> {
  const results = new Map<number, ItemResult>();
  const staged: StagedUpdate[] = [];
  updates.forEach((item, index) => {
    const update = stageUpdate(index, item, catalogue);
    if ('reason' in update) results.set(index, { index, outcome: 'rejected', reason: update.reason });
    else staged.push(update);
  });
  if (staged.length > 0) {
    for (const result of await ingestStaged(tx, catalogue, staged, options)) results.set(result.index, result);
  }
  return updates.map((_, index) => results.get(index)!);
}

async function ingestStaged(
  tx: Transaction,
  catalogue: Catalogue,
  updates: readonly StagedUpdate[],
  options: IngestOptions,
): Promise<readonly ItemResult[]> {
  const namespaceIds = identityColumns(updates);
  const shape: MergeShape = {
    workspaceId: catalogue.workspaceId,
    domainGroupId: domainGroupOf(catalogue, options.domainGroupId),
    staging: { schema: 'pg_temp', name: temporary.staging },
    plan: { schema: 'pg_temp', name: temporary.plan },
    planLines: { schema: 'pg_temp', name: temporary.planLines },
    events: updates.some((update) => update.events.length > 0)
      ? { schema: 'pg_temp', name: temporary.events }
      : undefined,
    productFeeds: feedsOfTypes(
      catalogue,
      new Set(updates.flatMap(({ events }) => events.map(({ eventTypeId }) => eventTypeId))),
    ),
    namespaceIds,
    uses: partsOf(updates),
    allowCreation: options.allowCreation,
    policy: 'unambiguous',
    maxComponentRows: updates.length,
    chunkLines: 1_000_000,
    persistence: 'temporary',
  };
  const outcomes = await applyOnce(tx, shape, updates);
  return updates.map(({ index }) => ({ index, ...(outcomes.get(index + 1) ?? { outcome: 'ambiguous' as const }) }));
}

/**
 * Resolves and applies the batch as a whole. Where another writer took one of its identities meanwhile, everything is undone,
 * its locks let go, and it is resolved again: locking the profile that identity now belongs to on top of the identities
 * already added would be out of order, and two batches could wait for each other.
 */
async function applyOnce(tx: Transaction, shape: MergeShape, updates: readonly StagedUpdate[]): Promise<Outcomes> {
  for (let attempt = 1; attempt <= maxAttempts; attempt += 1) {
    await tx.query(sql`SAVEPOINT ingest`);
    await createStagingTable(tx, shape);
    await insertRows(tx, shape, updates);
    if (shape.events !== undefined) await insertEvents(tx, shape.events.name, updates);
    await resolveRows(tx, shape);
    if (mixesRules(updates)) await keepOrder(tx, shape, updates);
    const { moved } = await applyChunk(tx, shape, 0);
    const outcomes = moved === 0 ? await readOutcomes(tx, shape, 0) : undefined;
    if (outcomes === undefined) {
      await tx.query(sql`ROLLBACK TO SAVEPOINT ingest`);
      forgetScratchTables(tx);
    }
    await tx.query(sql`RELEASE SAVEPOINT ingest`);
    if (outcomes !== undefined) return outcomes;
  }
  throw new TransientError(
    'identities-contended',
    'other writers kept taking the identities of this batch: send it again',
  );
}

async function readOutcomes(tx: Transaction, shape: MergeShape, chunk: number): Promise<Outcomes> {
  const [plan, lines] = [tableOf(shape.plan), tableOf(shape.planLines)];
  const touched = await tx.query<{ present: boolean }>(
    sql`SELECT to_regclass('pg_temp.touched') IS NOT NULL AS present`,
  );
  const outcome = touched.rows[0]?.present
    ? sql`(SELECT t.outcome FROM touched t WHERE t.component = pl.component)`
    : sql`NULL`;
  const { rows } = await tx.query<{
    line: number;
    status: PlanStatus | 'j';
    is_new: boolean;
    profile_id: string;
    outcome: 'c' | 'u' | 'n' | null;
  }>(sql`
    SELECT coalesce(l.line, pl.component)::float8 AS line, pl.status, pl.is_new, pl.profile_id, ${outcome} AS outcome
    FROM ${plan} pl LEFT JOIN ${lines} l ON l.component = pl.component AND pl.rows > 1
    WHERE pl.chunk = ${chunk} AND pl.status NOT IN ('m', 'j')`);
  const words = { c: 'created', u: 'updated', n: 'unchanged' } as const;
  return new Map(
    rows.map((row): [number, Omit<ItemResult, 'index'>] => {
      switch (row.status) {
        case 'u':
          return [
            row.line,
            { outcome: 'skipped', reason: 'no profile has these identities, and creation is not allowed' },
          ];
        case 'g':
          return [
            row.line,
            {
              outcome: 'skipped',
              reason: 'the person was erased after the time of this item: only what is newer brings them back',
            },
          ];
        case 'x':
        case 'o':
          return [row.line, { outcome: 'ambiguous', reason: 'the identities belong to more than one profile' }];
        default:
          return [row.line, { outcome: words[row.outcome ?? (row.is_new ? 'c' : 'n')], profileId: row.profile_id }];
      }
    }),
  );
}
