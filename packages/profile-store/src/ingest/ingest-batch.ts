import { sql, type Transaction } from '@millrace/database';
import type { IngestionResult } from '@millrace/domain';
import type { Catalogue, StagedParts } from '@millrace/mapping';
import { applyChunk } from '../merge/apply-chunk.js';
import { applyMoved } from '../merge/apply-moved.js';
import { createStagingTable, stagingColumns, tableOf, type MergeShape, type PlanStatus } from '../merge/merge-shape.js';
import { resolveRows } from '../merge/resolve-rows.js';
import { stageUpdate, type StagedUpdate } from './stage-update.js';

type ItemResult = IngestionResult['items'][number];

const temporary = {
  staging: 'ingest_stage',
  plan: 'ingest_plan',
  planLines: 'ingest_plan_line',
  events: 'ingest_event',
} as const;

export interface IngestOptions {
  readonly allowCreation: boolean;
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
  for (const run of splitByRule(staged)) {
    for (const result of await ingestRun(tx, catalogue, run, options)) results.set(result.index, result);
  }
  return updates.map((_, index) => results.get(index)!);
}

/** Within one run a property is written by one kind of rule only, so that folding keeps the order of the items. */
function splitByRule(updates: readonly StagedUpdate[]): readonly (readonly StagedUpdate[])[] {
  const runs: StagedUpdate[][] = [];
  let parts = new Map<string, string>();
  for (const update of updates) {
    const fits = runs.length > 0 && [...update.parts].every(([name, part]) => (parts.get(name) ?? part) === part);
    if (!fits) {
      runs.push([]);
      parts = new Map();
    }
    for (const [name, part] of update.parts) parts.set(name, part);
    runs.at(-1)!.push(update);
  }
  return runs;
}

/** Identity columns for the whole run: a namespace gets as many as the item with the most identities in it needs. */
function identityColumns(updates: readonly StagedUpdate[]): readonly number[] {
  const most = new Map<number, number>();
  for (const update of updates) {
    const own = new Map<number, number>();
    for (const { namespaceId } of update.identities) own.set(namespaceId, (own.get(namespaceId) ?? 0) + 1);
    for (const [namespaceId, count] of own) most.set(namespaceId, Math.max(most.get(namespaceId) ?? 0, count));
  }
  return [...most].flatMap(([namespaceId, count]) => Array.from({ length: count }, () => namespaceId));
}

function partsOf(updates: readonly StagedUpdate[]): StagedParts {
  const named = (part: string): string[] => [
    ...new Set(updates.flatMap((update) => [...update.parts].filter(([, own]) => own === part).map(([name]) => name))),
  ];
  return {
    fill: updates.some((update) => update.fill !== null),
    clear: updates.some((update) => update.clears),
    append: named('append'),
    increment: named('increment'),
    consent: updates.some((update) => update.consent !== null),
  };
}

async function ingestRun(
  tx: Transaction,
  catalogue: Catalogue,
  updates: readonly StagedUpdate[],
  options: IngestOptions,
): Promise<readonly ItemResult[]> {
  const namespaceIds = identityColumns(updates);
  const shape: MergeShape = {
    workspaceId: catalogue.workspaceId,
    domainGroupId: catalogue.domainGroupId,
    staging: { schema: 'pg_temp', name: temporary.staging },
    plan: { schema: 'pg_temp', name: temporary.plan },
    planLines: { schema: 'pg_temp', name: temporary.planLines },
    events: updates.some((update) => update.events.length > 0)
      ? { schema: 'pg_temp', name: temporary.events }
      : undefined,
    namespaceIds,
    uses: partsOf(updates),
    allowCreation: options.allowCreation,
    policy: 'unambiguous',
    maxComponentRows: updates.length,
    chunkLines: 1_000_000,
    persistence: 'temporary',
  };
  for (const table of Object.values(temporary)) await tx.query(sql`DROP TABLE IF EXISTS ${sql.id('pg_temp', table)}`);
  await createStagingTable(tx, shape);
  await insertRows(tx, shape, updates);
  if (shape.events !== undefined) await insertEvents(tx, shape.events.name, updates);
  await resolveRows(tx, shape);
  let { moved } = await applyChunk(tx, shape, 0);
  const outcomes = await readOutcomes(tx, shape, 0);
  for (let chunk = 1; moved > 0; chunk += 1) {
    ({ moved } = await applyMoved(tx, shape, chunk));
    for (const [line, outcome] of await readOutcomes(tx, shape, chunk)) outcomes.set(line, outcome);
  }
  return updates.map(({ index }) => ({ index, ...(outcomes.get(index + 1) ?? { outcome: 'ambiguous' as const }) }));
}

async function insertRows(tx: Transaction, shape: MergeShape, updates: readonly StagedUpdate[]): Promise<void> {
  const columns = stagingColumns(shape);
  const values = columns.map((column) => {
    if (column === 'line') return sql`${updates.map(({ index }) => index + 1)}::bigint[]`;
    if (column.startsWith('id_')) {
      const position = Number(column.slice(3)) - 1;
      return sql`${updates.map((update) => identityAt(update, shape.namespaceIds, position))}::text[]`;
    }
    return sql`${updates.map((update) => update[column as 'assign' | 'fill' | 'append' | 'increment' | 'consent'])}::jsonb[]`;
  });
  await tx.query(
    sql`INSERT INTO ${tableOf(shape.staging)} (${sql.join(columns.map((name) => sql.id(name)))}) SELECT * FROM unnest(${sql.join(values)})`,
  );
}

function identityAt(update: StagedUpdate, namespaceIds: readonly number[], position: number): string | null {
  const namespaceId = namespaceIds[position]!;
  const ordinal = position - namespaceIds.indexOf(namespaceId);
  return update.identities.filter((identity) => identity.namespaceId === namespaceId)[ordinal]?.value ?? null;
}

async function insertEvents(tx: Transaction, table: string, updates: readonly StagedUpdate[]): Promise<void> {
  // The same event id twice in a batch: the last one stands.
  const events = [
    ...new Map(
      updates.flatMap(({ index, events }) =>
        events.map((event) => [`${event.eventTypeId}:${event.id}`, { line: index + 1, event }]),
      ),
    ).values(),
  ];
  await tx.query(sql`
    CREATE TEMP TABLE ${sql.id(table)} (root_line bigint, event_type_id int, event_id text, occurred_at timestamptz, properties jsonb, lists jsonb, list_rows int)
    ON COMMIT DROP`);
  await tx.query(sql`
    INSERT INTO ${sql.id('pg_temp', table)} SELECT * FROM unnest(
      ${events.map(({ line }) => line)}::bigint[], ${events.map(({ event }) => event.eventTypeId)}::int[], ${events.map(({ event }) => event.id)}::text[],
      ${events.map(({ event }) => event.occurredAt)}::timestamptz[], ${events.map(({ event }) => event.properties)}::jsonb[],
      ${events.map(({ event }) => event.lists)}::jsonb[], ${events.map(({ event }) => event.listRows)}::int[])`);
}

async function readOutcomes(
  tx: Transaction,
  shape: MergeShape,
  chunk: number,
): Promise<Map<number, Omit<ItemResult, 'index'>>> {
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
        case 'x':
        case 'o':
          return [row.line, { outcome: 'ambiguous', reason: 'the identities belong to more than one profile' }];
        default:
          return [row.line, { outcome: words[row.outcome ?? (row.is_new ? 'c' : 'n')], profileId: row.profile_id }];
      }
    }),
  );
}
