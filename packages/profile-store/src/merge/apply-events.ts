import { sql, type Sql, type Transaction } from '@millrace/database';
import type { ChunkContext } from './chunk-context.js';
import { tableOf, type MergeShape } from './merge-shape.js';

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

/**
 * Of the events that reached the chunk with one id, the last of the profile the id belongs to: the one that has the event, or
 * else the first to bring it. The files of an import were told apart when they were linked; the items of a batch were not.
 */
function oncePerId(shape: MergeShape): Sql {
  if (shape.persistence === 'durable') return sql`SELECT * FROM reached`;
  return sql`
    SELECT DISTINCT ON (event_type_id, event_id) * FROM (
      SELECT r.*, coalesce(e.profile_id, first_value(r.profile_id) OVER (PARTITION BY r.event_type_id, r.event_id ORDER BY r.root_line)) AS owner
      FROM reached r LEFT JOIN profile.event e ON e.event_type_id = r.event_type_id AND e.id = r.event_id
    ) o WHERE o.profile_id = o.owner
    ORDER BY event_type_id, event_id, root_line DESC`;
}

/** Writes the timeline events of the chunk's profiles: a known id updates its event, an id of another profile's is left alone. */
export async function applyEvents(tx: Transaction, { shape, inChunk }: ChunkContext): Promise<EventCounts> {
  if (shape.events === undefined) return { events: 0, eventLines: 0, eventsConflicting: 0 };
  const [plan, lines, events] = [tableOf(shape.plan), tableOf(shape.planLines), tableOf(shape.events)];
  const linkedRows = shape.eventsHaveLinkedRows === true ? sql`coalesce(sum(linked_rows), 0)::float8` : sql`0::float8`;
  const { rows } = await tx.query<{
    events: number;
    event_lines: number;
    linked_rows: number;
    conflicting: number;
  }>(sql`
    WITH reached AS MATERIALIZED (
      SELECT pl.profile_id, e.* FROM ${plan} pl JOIN ${events} e ON e.root_line = pl.component WHERE ${inChunk} AND pl.rows = 1
      UNION ALL
      SELECT pl.profile_id, e.* FROM ${plan} pl JOIN ${lines} l ON l.component = pl.component JOIN ${events} e ON e.root_line = l.line
      WHERE ${inChunk} AND pl.rows > 1
    ), arrived AS (${oncePerId(shape)}), foreign_event AS MATERIALIZED (
      SELECT a.event_type_id, a.event_id FROM reached a
      JOIN profile.event e ON e.event_type_id = a.event_type_id AND e.id = a.event_id WHERE e.profile_id <> a.profile_id
    ), written AS (
      INSERT INTO profile.event AS e (event_type_id, id, profile_id, occurred_at, properties, lists)
      SELECT event_type_id, event_id, profile_id, occurred_at, properties, lists FROM arrived
      ORDER BY event_type_id, event_id
      ON CONFLICT (event_type_id, id) DO UPDATE
        SET occurred_at = excluded.occurred_at, properties = excluded.properties, lists = excluded.lists, changed_xid = pg_current_xact_id()
        WHERE e.profile_id = excluded.profile_id
          AND (e.occurred_at, e.properties, e.lists) IS DISTINCT FROM (excluded.occurred_at, excluded.properties, excluded.lists)
    )
    SELECT count(*)::float8 AS events, coalesce(sum(list_rows), 0)::float8 AS event_lines,
      ${linkedRows} AS linked_rows, (SELECT count(*) FROM foreign_event)::float8 AS conflicting
    FROM arrived a WHERE NOT EXISTS (SELECT FROM foreign_event f WHERE f.event_type_id = a.event_type_id AND f.event_id = a.event_id)`);
  const row = rows[0]!;
  return {
    events: row.events,
    eventLines: row.event_lines,
    eventsConflicting: row.conflicting,
    linkedRows: row.linked_rows,
  };
}
