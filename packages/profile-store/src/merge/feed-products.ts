import { sql, type Sql, type Transaction } from '@millrace/database';
import type { Catalogue } from '@millrace/mapping';
import type { ChunkContext } from './chunk-context.js';
import { tableOf, type ProductFeed } from './merge-shape.js';

/** The feeds that event types ask for by themselves, whoever brings their events. */
export function feedsOfTypes(catalogue: Catalogue, eventTypeIds: ReadonlySet<number>): readonly ProductFeed[] {
  return [...catalogue.eventTypes.values()].flatMap(({ id, definition: { products } }) =>
    products === undefined || !eventTypeIds.has(id) ? [] : [{ eventTypeId: id, ...products }],
  );
}

// Every id must fit an index entry.
const maxProductIdLength = 512;

/**
 * Keeps the products that the order lines of the chunk's events are about, as the latest order describes them: whatever the
 * order in which files and chunks come. Returns how many were added or changed.
 */
export async function feedProducts(tx: Transaction, { shape, inChunk }: ChunkContext): Promise<number> {
  const { events, productFeeds = [] } = shape;
  if (events === undefined || productFeeds.length === 0) return 0;
  await nameLists(tx, productFeeds);
  const [plan, lines] = [tableOf(shape.plan), tableOf(shape.planLines)];
  const described = productFeeds.map((feed) => descriptions(feed));
  const newer = sql`excluded.described_at >= p.described_at`;
  const { rowCount } = await tx.query(sql`
    WITH reached AS MATERIALIZED (
      SELECT e.* FROM ${plan} pl JOIN ${tableOf(events)} e ON e.root_line = pl.component WHERE ${inChunk} AND pl.rows = 1
      UNION ALL
      SELECT e.* FROM ${plan} pl JOIN ${lines} l ON l.component = pl.component JOIN ${tableOf(events)} e ON e.root_line = l.line
      WHERE ${inChunk} AND pl.rows > 1
    ), line AS (${sql.join(described, ' UNION ALL ')}), latest AS (
      SELECT id, (array_agg(name ORDER BY occurred_at DESC, root_line DESC, position DESC) FILTER (WHERE name IS NOT NULL))[1] AS name,
        profile.jsonb_merge(properties ORDER BY occurred_at, root_line, position) AS properties, max(occurred_at) AS described_at
      FROM line WHERE id <> '' AND length(id) <= ${maxProductIdLength} GROUP BY id
    )
    INSERT INTO profile.product AS p (workspace_id, id, name, properties, described_at)
    SELECT ${shape.workspaceId}::int, l.id, l.name, l.properties, l.described_at
    FROM latest l LEFT JOIN profile.product known ON known.workspace_id = ${shape.workspaceId}::int AND known.id = l.id
    -- Products nothing new is said of are not even locked.
    WHERE known.id IS NULL OR l.described_at > known.described_at OR (known.name IS NULL AND l.name IS NOT NULL)
      OR l.properties || known.properties <> known.properties
      OR (l.described_at = known.described_at AND (coalesce(l.name, known.name), known.properties || l.properties) IS DISTINCT FROM (known.name, known.properties))
    ORDER BY l.id
    ON CONFLICT (workspace_id, id) DO UPDATE SET
      name = CASE WHEN ${newer} THEN coalesce(excluded.name, p.name) ELSE coalesce(p.name, excluded.name) END,
      properties = CASE WHEN ${newer} THEN p.properties || excluded.properties ELSE excluded.properties || p.properties END,
      described_at = greatest(p.described_at, excluded.described_at), updated_at = now()`);
  return rowCount;
}

/** The order lines of one list: (id, name, properties, occurred_at, root_line, position). */
function descriptions({ eventTypeId, list, id, name, properties }: ProductFeed): Sql {
  const kept = properties.map((property) => sql`${property}::text, o.item->${property}::text`);
  const object = kept.length === 0 ? sql`'{}'::jsonb` : sql`jsonb_strip_nulls(jsonb_build_object(${sql.join(kept)}))`;
  return sql`
    SELECT o.item->>${id}::text AS id, ${name === undefined ? sql`NULL::text` : sql`o.item->>${name}::text`} AS name, ${object} AS properties,
      r.occurred_at, r.root_line, o.position
    FROM reached r
    CROSS JOIN LATERAL jsonb_array_elements(coalesce(r.lists->${list}::text, '[]')) WITH ORDINALITY AS o (item, position)
    WHERE r.event_type_id = ${eventTypeId}::int`;
}

/** Which lists hold order lines: what was bought is read from the events themselves. */
export async function nameLists(tx: Transaction, feeds: readonly ProductFeed[]): Promise<void> {
  for (const { eventTypeId, list, id, name, quantity } of feeds) {
    const row = sql`${eventTypeId}::int AS event_type_id, ${list}::text AS list, ${id}::text AS id_property,
      ${name ?? null}::text AS name_property, ${quantity ?? null}::text AS quantity_property`;
    await tx.query(sql`
      INSERT INTO profile.product_list AS l (event_type_id, list, id_property, name_property, quantity_property)
      SELECT * FROM (SELECT ${row}) AS named
      WHERE NOT EXISTS (
        SELECT FROM profile.product_list known WHERE known.event_type_id = named.event_type_id AND known.list = named.list
          AND (known.id_property, known.name_property, known.quantity_property)
            IS NOT DISTINCT FROM (named.id_property, named.name_property, named.quantity_property))
      ON CONFLICT (event_type_id, list) DO UPDATE SET
        id_property = excluded.id_property, name_property = excluded.name_property, quantity_property = excluded.quantity_property`);
  }
}
