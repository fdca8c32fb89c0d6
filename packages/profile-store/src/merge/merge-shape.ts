import { sql, type Sql, type Transaction } from '@millrace/database';
import { profileIdNamespaceId, type StagedParts } from '@millrace/mapping';
import { scratchTable } from '../profiles/scratch-table.js';

/** A nested list of events whose rows are about products; the names are those of its properties. */
export interface ProductFeed {
  readonly eventTypeId: number;
  readonly list: string;
  readonly id: string;
  readonly name?: string | undefined;
  readonly quantity?: string | undefined;
  readonly properties: readonly string[];
}

export interface TableName {
  readonly schema: string;
  readonly name: string;
}

/** Where staged rows lie and how they become profiles. One shape serves one file, or one batch of the ingestion API. */
export interface MergeShape {
  readonly workspaceId: number;
  /** Whose profiles the rows may find, and where new ones belong. */
  readonly domainGroupId: number;
  /** line bigint, id_1 .. id_n text, assign jsonb, and fill, append, increment, consent, groups jsonb erase boolean and occurred_at timestamptz as `uses` says. */
  readonly staging: TableName;
  /** component bigint (its first line), profile_id, is_new, rows, chunk, status. Written by `resolveRows`. */
  readonly plan: TableName;
  /** line, component: the lines of components that have more than one. */
  readonly planLines: TableName;
  /** root_line bigint, event_type_id int, event_id text, occurred_at timestamptz, properties jsonb, lists jsonb, list_rows int. */
  readonly events?: TableName | undefined;
  /** `events` also has linked_rows int: how many rows of linked files went into the event, for the caller's accounts. */
  readonly eventsHaveLinkedRows?: boolean;
  readonly productFeeds?: readonly ProductFeed[];
  /** The rows are groups of this type: id_1 is their key, and the plan's profile_id the id of a group. */
  readonly groupTypeId?: number | undefined;
  /** Namespaces of id_1 .. id_n, in the goal's order of priority; `profileIdNamespaceId` for the id of the profile itself. */
  readonly namespaceIds: readonly number[];
  readonly uses: StagedParts;
  readonly allowCreation: boolean;
  readonly policy: 'unambiguous' | 'first-match';
  /** A component of more rows than this is ambiguous as a whole. */
  readonly maxComponentRows: number;
  /** Lines per chunk: chunk k holds the profiles whose first line is in [k * chunkLines, (k + 1) * chunkLines). */
  readonly chunkLines: number;
  /** Only profiles that consent to one of these are handled, see `holdBack`; absent or empty: everyone. */
  readonly consentObjectives?: readonly string[] | undefined;
  /** When the rows were written, if none says so itself: a person erased since then does not come back by them. Absent: only what rows say counts. */
  readonly erasedAfter?: Date | undefined;
  /** Only profiles, or groups, with this value of this property are handled, as text. */
  readonly unit?: { readonly property: string; readonly value: string } | undefined;
  /** Temporary tables are the transaction's own. */
  readonly persistence: 'durable' | 'temporary';
}

/**
 * `a` is applied; `e` erases its profile; `u` unmatched, `x` ambiguous, `o` oversized are not; `m` waits for the final chunk.
 * Held back when their chunk came: `w` without consent, `g` erased before, `f` of another unit.
 */
export type PlanStatus = 'a' | 'e' | 'u' | 'x' | 'o' | 'm' | 'w' | 'g' | 'f';

export function tableOf(table: TableName): Sql {
  return sql`${sql.id(table.schema, table.name)}`;
}

/** The table of what the rows are about. */
export function homeOf({ groupTypeId }: Pick<MergeShape, 'groupTypeId'>): Sql {
  return groupTypeId === undefined ? sql`profile.profile` : sql`profile.group`;
}

export function idColumn(index: number): Sql {
  return sql`${sql.id(`id_${index + 1}`)}`;
}

/** The staging columns of a shape in COPY order. */
export function stagingColumns(shape: Pick<MergeShape, 'namespaceIds' | 'uses'>): readonly string[] {
  const { uses } = shape;
  return [
    'line',
    ...shape.namespaceIds.map((_, index) => `id_${index + 1}`),
    'assign',
    ...(uses.fill ? ['fill'] : []),
    ...(uses.append.length > 0 ? ['append'] : []),
    ...(uses.increment.length > 0 ? ['increment'] : []),
    ...(uses.consent ? ['consent'] : []),
    ...((uses.groups ?? []).length > 0 ? ['groups'] : []),
    ...(uses.erase === true ? ['erase'] : []),
    ...(uses.occurredAt === true ? ['occurred_at'] : []),
  ];
}

/** Creates the empty staging table: unlogged, as a crash of the database only costs staging again. */
export async function createStagingTable(
  tx: Transaction,
  shape: MergeShape,
  extraColumns: readonly Sql[] = [],
): Promise<void> {
  const columns = stagingColumns(shape).map((name) => {
    if (name === 'line') return sql`line bigint NOT NULL`;
    if (name === 'erase') return sql`erase boolean`;
    if (name === 'occurred_at') return sql`occurred_at timestamptz`;
    return name.startsWith('id_') ? sql`${sql.id(name)} text` : sql`${sql.id(name)} jsonb`;
  });
  const all = sql.join([...columns, ...extraColumns]);
  if (shape.persistence === 'temporary') await scratchTable(tx, shape.staging.name, all);
  else await tx.query(sql`CREATE UNLOGGED TABLE ${tableOf(shape.staging)} (${all})`);
}

/** Which of the identifiers is the profile's own id; -1 where none is. */
export function ownIdIndex({ namespaceIds }: Pick<MergeShape, 'namespaceIds'>): number {
  return namespaceIds.indexOf(profileIdNamespaceId);
}

/** What identifiers are looked up in: (domain_group_id, namespace_id, value, profile_id). */
export function identitySource(shape: MergeShape): Sql {
  const index = ownIdIndex(shape);
  if (index < 0) return sql`profile.identity`;
  const column = idColumn(index);
  return sql`(
    SELECT domain_group_id, namespace_id, value, profile_id FROM profile.identity
    UNION ALL
    SELECT own.domain_group_id, ${sql.integer(profileIdNamespaceId)}, own.id::text, own.id FROM profile.profile own
    WHERE own.id IN (SELECT ${column}::uuid FROM ${tableOf(shape.staging)} WHERE ${column} IS NOT NULL))`;
}
