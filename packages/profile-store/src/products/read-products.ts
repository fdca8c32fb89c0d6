import { sql, type Executor } from '@millrace/database';

const product = sql`'id', pr.id, 'name', pr.name, 'properties', pr.properties,
  'describedAt', to_char(pr.described_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** A product as the latest order line described it, as JSON text with every digit kept, or undefined. */
export async function productById(executor: Executor, workspaceId: number, id: string): Promise<string | undefined> {
  const { rows } = await executor.query<{ document: string }>(sql`
    SELECT jsonb_build_object(${product}) AS document
    FROM profile.product pr WHERE pr.workspace_id = ${workspaceId} AND pr.id = ${id}`);
  return rows[0]?.document;
}

export interface BoughtQuery {
  readonly order: 'most-bought' | 'most-recent';
  readonly limit: number;
}

/**
 * What a profile has bought, by quantity or by the time of its last order, as a JSON array in text; undefined where there is no such profile.
 * Read from its events, so that an order that was corrected or moved to another profile counts as it stands. A row
 * without a quantity counts as one.
 */
export async function boughtProducts(
  executor: Executor,
  workspaceId: number,
  profileId: string,
  { order, limit }: BoughtQuery,
): Promise<string | undefined> {
  const ranking = order === 'most-bought' ? sql`quantity DESC, last_at DESC, id` : sql`last_at DESC, quantity DESC, id`;
  const { rows } = await executor.query<{ document: string }>(sql`
    SELECT coalesce((
      SELECT jsonb_agg(jsonb_build_object('id', b.id, 'name', coalesce(pr.name, b.name), 'quantity', b.quantity, 'orders', b.orders,
          'lastBoughtAt', to_char(b.last_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) ORDER BY b.place)
      FROM (
        SELECT *, row_number() OVER (ORDER BY ${ranking}) AS place FROM (
          SELECT o.item->>pl.id_property AS id, (array_agg(o.item->>pl.name_property ORDER BY e.occurred_at DESC))[1] AS name,
            sum(CASE WHEN jsonb_typeof(o.item->pl.quantity_property) = 'number' THEN (o.item->>pl.quantity_property)::numeric ELSE 1 END) AS quantity,
            count(DISTINCT (e.event_type_id, e.id)) AS orders, max(e.occurred_at) AS last_at
          FROM profile.event e JOIN profile.product_list pl ON pl.event_type_id = e.event_type_id
          CROSS JOIN LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof(e.lists->pl.list) = 'array' THEN e.lists->pl.list ELSE '[]' END) AS o (item)
          WHERE e.profile_id = p.id AND o.item->>pl.id_property <> ''
          GROUP BY 1
        ) AS bought ORDER BY ${ranking} LIMIT ${limit}
      ) b LEFT JOIN profile.product pr ON pr.workspace_id = p.workspace_id AND pr.id = b.id
    ), '[]') AS document
    FROM profile.profile p WHERE p.workspace_id = ${workspaceId} AND p.id = ${profileId}::uuid`);
  return rows[0]?.document;
}
