import { sql, type Transaction } from '@millrace/database';
import { jsonString, type GroupLink, type StagedParts } from '@millrace/mapping';
import { stagingColumns, tableOf, type MergeShape } from '../merge/merge-shape.js';
import { scratchTable } from '../profiles/scratch-table.js';
import { orderWrites } from './order-writes.js';
import type { StagedUpdate, StagedWrite, WritePart } from './stage-update.js';

/** Identity columns for the whole batch: a namespace gets as many as the item with the most identities in it needs. */
export function identityColumns(updates: readonly StagedUpdate[]): readonly number[] {
  const most = new Map<number, number>();
  for (const update of updates) {
    const own = new Map<number, number>();
    for (const { namespaceId } of update.identities) own.set(namespaceId, (own.get(namespaceId) ?? 0) + 1);
    for (const [namespaceId, count] of own) most.set(namespaceId, Math.max(most.get(namespaceId) ?? 0, count));
  }
  return [...most].flatMap(([namespaceId, count]) => Array.from({ length: count }, () => namespaceId));
}

/** What the updates write, and how. */
export function partsOf(updates: readonly StagedUpdate[]): StagedParts {
  const written: Record<WritePart, Set<string>> = {
    assign: new Set(),
    fill: new Set(),
    append: new Set(),
    increment: new Set(),
  };
  let clear = false;
  for (const update of updates) {
    for (const { property, part, json } of update.writes) {
      written[part].add(property);
      clear ||= json === 'null';
    }
  }
  const added = [...written.append, ...written.increment];
  return {
    fill: written.fill.size > 0,
    clear,
    append: [...written.append],
    increment: [...written.increment],
    consent: updates.some((update) => update.consent !== null),
    groups: groupLinksOf(updates),
    occurredAt: updates.some(({ occurredAt }) => occurredAt !== null),
    mixed: added.filter((name) => written.assign.has(name) || written.fill.has(name)),
  };
}

/** The ways in which the batch links profiles to groups, each once. */
function groupLinksOf(updates: readonly StagedUpdate[]): readonly GroupLink[] {
  const links = updates.flatMap(({ groups }) =>
    groups.map(({ typeId, replace }): GroupLink => ({ typeId, create: true, replace })),
  );
  return [...new Map(links.map((link) => [`${link.typeId} ${link.replace}`, link])).values()];
}

/** Position of the link -> keys, as JSON text. */
function groupsText({ groups }: StagedUpdate, links: readonly GroupLink[]): string | null {
  if (groups.length === 0) return null;
  const keys = links.map(({ typeId, replace }) =>
    groups.filter((group) => group.typeId === typeId && group.replace === replace).map(({ key }) => key),
  );
  return JSON.stringify(Object.fromEntries(keys.entries()));
}

/** Whether the order of the items matters beyond what folding keeps: a property is written by rules of several kinds. */
export function mixesRules(updates: readonly StagedUpdate[]): boolean {
  const parts = new Map<string, WritePart>();
  return updates.some((update) =>
    update.writes.some(({ property, part }) => {
      const known = parts.get(property);
      parts.set(property, part);
      return known !== undefined && known !== part;
    }),
  );
}

/** Rewrites the staged rows of profiles that several items are about, so that folding them keeps the order of the items. */
export async function keepOrder(tx: Transaction, shape: MergeShape, updates: readonly StagedUpdate[]): Promise<void> {
  const { rows } = await tx.query<{ line: number; component: number }>(sql`
    SELECT line::float8 AS line, component::float8 AS component FROM ${tableOf(shape.planLines)} ORDER BY line`);
  const byLine = new Map(updates.map((update) => [update.index + 1, update]));
  const components = new Map<number, { line: number; update: StagedUpdate }[]>();
  for (const { line, component } of rows) {
    const members = components.get(component) ?? [];
    components.set(component, members);
    members.push({ line, update: byLine.get(line)! });
  }
  const ordered = [...components.values()].flatMap((members) => [...orderWrites(members)]);
  if (ordered.length === 0) return;
  const parts = stagingColumns(shape).filter((column) => isWritePart(column));
  const values = parts.map((part) => sql`${ordered.map(([, writes]) => partText(writes, part))}::jsonb[]`);
  const columns = sql.join(parts.map((part) => sql.id(part)));
  await tx.query(sql`
    UPDATE ${tableOf(shape.staging)} s SET (${columns}) = ROW (${sql.join(parts.map((part) => sql`o.${sql.id(part)}`))})
    FROM unnest(${ordered.map(([line]) => line)}::bigint[], ${sql.join(values)}) AS o (line, ${columns}) WHERE o.line = s.line`);
}

function isWritePart(column: string): column is WritePart {
  return column === 'assign' || column === 'fill' || column === 'append' || column === 'increment';
}

/** The JSON object of one staging column. */
function partText(writes: readonly StagedWrite[], part: WritePart): string | null {
  const entries = writes
    .filter((write) => write.part === part)
    .map(({ property, json }) => `${jsonString(property)}:${json}`);
  return entries.length === 0 && part !== 'assign' ? null : `{${entries.join(',')}}`;
}

/** One line per update, `index` + 1. */
export async function insertRows(tx: Transaction, shape: MergeShape, updates: readonly StagedUpdate[]): Promise<void> {
  const columns = stagingColumns(shape);
  const links = groupLinksOf(updates);
  const values = columns.map((column) => {
    if (column === 'line') return sql`${updates.map(({ index }) => index + 1)}::bigint[]`;
    if (column.startsWith('id_')) {
      const position = Number(column.slice(3)) - 1;
      return sql`${updates.map((update) => identityAt(update, shape.namespaceIds, position))}::text[]`;
    }
    if (column === 'occurred_at') return sql`${updates.map(({ occurredAt }) => occurredAt)}::timestamptz[]`;
    const text = updates.map((update) => {
      if (isWritePart(column)) return partText(update.writes, column);
      return column === 'groups' ? groupsText(update, links) : update.consent;
    });
    return sql`${text}::jsonb[]`;
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

/** Creates and fills the temporary table of the updates' events. */
export async function insertEvents(tx: Transaction, table: string, updates: readonly StagedUpdate[]): Promise<void> {
  // The same event id twice in an item: the last one stands. Of several items it depends on whose profile they are about.
  const events = [
    ...new Map(
      updates.flatMap(({ index, events }) =>
        events.map((event) => [`${index}:${event.eventTypeId}:${event.id}`, { line: index + 1, event }]),
      ),
    ).values(),
  ];
  await scratchTable(
    tx,
    table,
    sql`root_line bigint, event_type_id int, event_id text, occurred_at timestamptz, properties jsonb, lists jsonb, list_rows int`,
  );
  await tx.query(sql`
    INSERT INTO ${sql.id('pg_temp', table)} SELECT * FROM unnest(
      ${events.map(({ line }) => line)}::bigint[], ${events.map(({ event }) => event.eventTypeId)}::int[], ${events.map(({ event }) => event.id)}::text[],
      ${events.map(({ event }) => event.occurredAt)}::timestamptz[], ${events.map(({ event }) => event.properties)}::jsonb[],
      ${events.map(({ event }) => event.lists)}::jsonb[], ${events.map(({ event }) => event.listRows)}::int[])`);
}
