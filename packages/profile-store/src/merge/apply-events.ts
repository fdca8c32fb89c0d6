import { sql, type Sql, type Transaction } from '@millrace/database';
import type { ChunkContext } from './chunk-context.js';
import { tableOf, type MergeShape } from './merge-shape.js';
import { insertUnlessTaken } from './unless-taken.js';

export interface EventCounts {
  /** Events of the chunk's profiles, those already known unchanged included. */
  readonly events: number;
  /** Rows of their nested lists. */
  readonly eventLines: number;
  /** Event ids that belong to another profile already; not written. */
  readonly eventsConflicting: number;
  /** The sum of `linked_rows` of those events, where the shape says that they have it. */
  readonly linkedRows?: number;
}

interface Tally {
  readonly events: number;
  readonly event_lines: number;
  readonly linked_rows: number;
}

/** Writes the timeline events of the chunk's profiles: a known id updates its event, an id of another profile's is left alone. */
export async function applyEvents(tx: Transaction, context: ChunkContext): Promise<EventCounts> {
  const { shape } = context;
  if (shape.events === undefined) return { events: 0, eventLines: 0, eventsConflicting: 0 };
  return shape.persistence === 'durable' ? applyToldApart(tx, context) : applyBatch(tx, context);
}

/** The events that hang on rows of the chunk's components: the columns of `shape.events`, and profile_id. */
function reachedEvents({ shape, inChunk, inLines }: ChunkContext): Sql {
  const [plan, lines, events] = [tableOf(shape.plan), tableOf(shape.planLines), tableOf(shape.events!)];
  return sql`
    SELECT pl.profile_id, s.* FROM ${plan} pl JOIN (SELECT root_line AS line, e.* FROM ${events} e) s ON s.line = pl.component
    WHERE ${inChunk} AND ${inLines} AND pl.rows = 1
    UNION ALL
    SELECT pl.profile_id, e.root_line, e.* FROM ${plan} pl JOIN ${lines} l ON l.component = pl.component JOIN ${events} e ON e.root_line = l.line
    WHERE ${inChunk} AND pl.rows > 1`;
}

function insertNew(arrived: Sql): Sql {
  return sql`
    INSERT INTO profile.event AS e (event_type_id, id, profile_id, occurred_at, properties, lists)
    SELECT event_type_id, event_id, profile_id, occurred_at, properties, lists FROM (${arrived}) a
    ORDER BY event_type_id, event_id COLLATE "C"`;
}

function insertOrUpdate(arrived: Sql): Sql {
  return sql`
    ${insertNew(arrived)}
    ON CONFLICT (event_type_id, id) DO UPDATE
      SET occurred_at = excluded.occurred_at, properties = excluded.properties, lists = excluded.lists, changed_xid = pg_current_xact_id()
      WHERE e.profile_id = excluded.profile_id
        AND (e.occurred_at, e.properties, e.lists) IS DISTINCT FROM (excluded.occurred_at, excluded.properties, excluded.lists)`;
}

function tallyOf(shape: MergeShape): Sql {
  const linkedRows = shape.eventsHaveLinkedRows === true ? sql`coalesce(sum(linked_rows), 0)::float8` : sql`0::float8`;
  return sql`count(*)::float8 AS events, coalesce(sum(list_rows), 0)::float8 AS event_lines, ${linkedRows} AS linked_rows`;
}

/**
 * Whose the event of the id is, if anybody's. Looked up one by one, as a join may be planned as a walk through all events there are,
 * and by the collation of the key, as staged ids have another, by which its index would be of no use.
 */
const presentOwner = sql`(
  SELECT e.profile_id FROM profile.event e WHERE e.event_type_id = r.event_type_id AND e.id = r.event_id COLLATE "default")`;

/**
 * The events of a file, which were told apart when they were linked: nothing but those not written can be another profile's.
 * Where a sample of them is new, all of them are taken for new first.
 */
async function applyToldApart(tx: Transaction, context: ChunkContext): Promise<EventCounts> {
  const reached = reachedEvents(context);
  const tally = tallyOf(context.shape);
  const { rows } = await tx.query<Tally & { readonly known: boolean | null }>(sql`
    SELECT ${tally}, bool_or(CASE WHEN hashtext(r.event_id) & 63 = 0 THEN ${presentOwner} IS NOT NULL END) AS known FROM (${reached}) r`);
  const all = rows[0]!;
  const fresh = all.known === true ? undefined : await insertUnlessTaken(tx, insertNew(reached));
  const written = fresh ?? (await tx.query(insertOrUpdate(reached))).rowCount;
  // Writing has locked those that were there.
  const foreign =
    written < all.events
      ? (await tx.query<Tally>(sql`SELECT ${tally} FROM (${reached}) r WHERE r.profile_id <> ${presentOwner}`)).rows[0]!
      : { events: 0, event_lines: 0, linked_rows: 0 };
  return {
    events: all.events - foreign.events,
    eventLines: all.event_lines - foreign.event_lines,
    eventsConflicting: foreign.events,
    linkedRows: all.linked_rows - foreign.linked_rows,
  };
}

/**
 * The events of a batch: of those with one id, the last of the profile the id belongs to: the one that has the event, or else the
 * first to bring it.
 */
async function applyBatch(tx: Transaction, context: ChunkContext): Promise<EventCounts> {
  const { rows } = await tx.query<Tally & { readonly conflicting: number }>(sql`
    WITH reached AS MATERIALIZED (${reachedEvents(context)}), arrived AS MATERIALIZED (
      SELECT DISTINCT ON (event_type_id, event_id) * FROM (
        SELECT r.*, coalesce(e.profile_id, first_value(r.profile_id) OVER (PARTITION BY r.event_type_id, r.event_id ORDER BY r.root_line)) AS owner
        FROM reached r LEFT JOIN profile.event e ON e.event_type_id = r.event_type_id AND e.id = r.event_id
      ) o WHERE o.profile_id = o.owner
      ORDER BY event_type_id, event_id, root_line DESC
    ), foreign_event AS MATERIALIZED (
      SELECT a.event_type_id, a.event_id FROM reached a
      JOIN profile.event e ON e.event_type_id = a.event_type_id AND e.id = a.event_id WHERE e.profile_id <> a.profile_id
    ), written AS (${insertOrUpdate(sql`SELECT * FROM arrived`)})
    SELECT ${tallyOf(context.shape)}, (SELECT count(*) FROM foreign_event)::float8 AS conflicting
    FROM arrived a WHERE NOT EXISTS (SELECT FROM foreign_event f WHERE f.event_type_id = a.event_type_id AND f.event_id = a.event_id)`);
  const row = rows[0]!;
  return {
    events: row.events,
    eventLines: row.event_lines,
    eventsConflicting: row.conflicting,
    linkedRows: row.linked_rows,
  };
}
