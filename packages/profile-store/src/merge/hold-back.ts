import { sql, type Sql, type Transaction } from '@millrace/database';
import type { ChunkContext } from './chunk-context.js';
import { anyErased, heedsErasures, linesNamingErased } from './hold-erased.js';
import { homeOf, tableOf, type MergeShape, type PlanStatus } from './merge-shape.js';

/** Rows of components that nothing is applied of, by what held them back, and the linked rows of their events. */
export interface HeldBackCounts {
  /** Their profile consents to none of the objectives. */
  readonly withheld: number;
  /** They name a person who was erased after they were written. */
  readonly erasedBefore: number;
  /** They belong to another organizational unit, or would leave this one. */
  readonly otherUnit: number;
  readonly linkedRowsHeldBack: number;
}

/** Whether a shape lets through less than everything. */
export function holdsBack(shape: MergeShape): boolean {
  return (shape.consentObjectives ?? []).length > 0 || heedsErasures(shape) || shape.unit !== undefined;
}

/**
 * Takes the components out of a chunk that its shape does not let through, before anything is written. Judged when the chunk is
 * applied, under the locks of its profiles: a consent withdrawn, or a person erased, since the plan was made counts.
 * A component is held back by the first rule that applies: erased, other unit, consent.
 */
export async function holdBack(
  tx: Transaction,
  context: ChunkContext,
): Promise<{ readonly rows: number; readonly counts: HeldBackCounts }> {
  const { shape } = context;
  const { unit, consentObjectives = [] } = shape;
  const erased =
    heedsErasures(shape) && (await anyErased(tx, shape))
      ? await hold(
          tx,
          context,
          'g',
          sql`pl.component IN (SELECT component FROM (${linesNamingErased(shape, linesOf(context))}) AS old)`,
        )
      : nothing;
  const foreign = unit === undefined ? nothing : await holdForeign(tx, context, unit);
  const withheld =
    consentObjectives.length === 0
      ? nothing
      : await hold(tx, context, 'w', sql`pl.component NOT IN (${consenting(context, consentObjectives)})`);
  const counts = {
    withheld: withheld.rows,
    erasedBefore: erased.rows,
    otherUnit: foreign.rows,
    linkedRowsHeldBack: erased.linkedRows + foreign.linkedRows + withheld.linkedRows,
  };
  return { rows: withheld.rows + erased.rows + foreign.rows, counts };
}

/** Rows held back, and the linked rows of their events. */
export interface Held {
  readonly rows: number;
  readonly linkedRows: number;
}
export const nothing: Held = { rows: 0, linkedRows: 0 };

type Unit = NonNullable<MergeShape['unit']>;

/** Holds back what is of another organizational unit than `unit`, or would leave it. */
export async function holdForeign(
  tx: Transaction,
  context: Pick<ChunkContext, 'shape' | 'inChunk'>,
  unit: Unit,
): Promise<Held> {
  return hold(tx, context, 'f', sql`pl.component NOT IN (${componentsOfUnit(context, unit)})`);
}

/** The same of those that the delete flag would erase; their rows say nothing else. */
export async function holdForeignErasures(
  tx: Transaction,
  context: Pick<ChunkContext, 'shape' | 'inChunk'>,
  { property, value }: Unit,
): Promise<Held> {
  const foreign = sql`EXISTS (
    SELECT FROM ${homeOf(context.shape)} p WHERE p.id = pl.profile_id AND p.properties->>${property}::text IS DISTINCT FROM ${value}::text)`;
  return hold(tx, context, 'f', foreign);
}

async function hold(
  tx: Transaction,
  { shape, inChunk }: Pick<ChunkContext, 'shape' | 'inChunk'>,
  status: PlanStatus,
  condition: Sql,
): Promise<Held> {
  const linkedRows =
    shape.events === undefined || shape.eventsHaveLinkedRows !== true
      ? sql`0`
      : sql`coalesce((
          SELECT sum(e.linked_rows) FROM (
            SELECT component AS line FROM held WHERE rows = 1
            UNION ALL SELECT l.line FROM held h JOIN ${tableOf(shape.planLines)} l ON l.component = h.component WHERE h.rows > 1
          ) AS lines JOIN ${tableOf(shape.events)} e ON e.root_line = lines.line), 0)`;
  const { rows } = await tx.query<Held>(sql`
    WITH held AS (
      UPDATE ${tableOf(shape.plan)} pl SET status = ${status}::"char" WHERE ${inChunk} AND ${condition} RETURNING pl.component, pl.rows
    )
    SELECT coalesce(sum(rows), 0)::float8 AS rows, ${linkedRows}::float8 AS "linkedRows" FROM held`);
  return rows[0] ?? nothing;
}

/** The staged rows of the chunk's components: (component, profile_id, is_new, line). */
function linesOf({ shape, inChunk }: Pick<ChunkContext, 'shape' | 'inChunk'>): Sql {
  const [plan, lines] = [tableOf(shape.plan), tableOf(shape.planLines)];
  return sql`
    SELECT pl.component, pl.profile_id, pl.is_new, pl.component AS line FROM ${plan} pl WHERE ${inChunk} AND pl.rows = 1
    UNION ALL
    SELECT pl.component, pl.profile_id, pl.is_new, l.line FROM ${plan} pl JOIN ${lines} l ON l.component = pl.component
    WHERE ${inChunk} AND pl.rows > 1`;
}

/**
 * Components whose profile is of the unit, or becomes one of it by these rows, and of which no row says otherwise: a row that
 * would move a profile out of the unit is none of this unit's.
 */
function componentsOfUnit(context: Pick<ChunkContext, 'shape' | 'inChunk'>, unit: Unit): Sql {
  const { shape } = context;
  const [property, value] = [sql`${unit.property}::text`, sql`${unit.value}::text`];
  const assigned = sql`s.assign->>${property}`;
  const filled = shape.uses.fill ? sql`coalesce(${assigned}, s.fill->>${property})` : assigned;
  return sql`
    SELECT judged.component FROM (
      SELECT c.component, max(p.properties->>${property}) AS present, bool_or(${filled} = ${value}) AS joins,
        bool_or(s.assign ? ${property} AND ${assigned} IS DISTINCT FROM ${value}) AS leaves,
        bool_or(${filled} <> ${value}) AS named_other
      FROM (${linesOf(context)}) c JOIN ${tableOf(shape.staging)} s ON s.line = c.line
      LEFT JOIN ${homeOf(shape)} p ON p.id = c.profile_id AND NOT c.is_new
      GROUP BY c.component
    ) AS judged
    WHERE NOT leaves AND (present = ${value} OR (present IS NULL AND joins AND named_other IS NOT TRUE))`;
}

/**
 * Components that may be handled: what is stored of an existing profile says yes, or the rows' own consent columns do, folded
 * in file order. Nobody is asked twice to withdraw: a row that takes back the last consent is applied, and the next one withheld.
 */
function consenting(context: ChunkContext, objectives: readonly string[]): Sql {
  const { shape, inChunk } = context;
  const stored = sql`
    SELECT pl.component FROM ${tableOf(shape.plan)} pl JOIN profile.consent c ON c.profile_id = pl.profile_id
    WHERE ${inChunk} AND NOT pl.is_new AND c.granted AND c.objective = ANY (${objectives}::text[])`;
  if (!shape.uses.consent) return stored;
  return sql`${stored}
    UNION ALL
    SELECT given.component FROM (
      SELECT c.component, profile.jsonb_merge(s.consent ORDER BY s.line) AS consent
      FROM (${linesOf(context)}) c JOIN ${tableOf(shape.staging)} s ON s.line = c.line
      WHERE s.consent IS NOT NULL GROUP BY c.component
    ) AS given
    WHERE EXISTS (
      SELECT FROM jsonb_each_text(given.consent) AS said (objective, granted)
      WHERE said.objective = ANY (${objectives}::text[]) AND said.granted::boolean)`;
}
