import { Database, migrate, sql, type Transaction } from '@millrace/database';
import type { Property } from '@millrace/domain';
import type { Catalogue } from '@millrace/mapping';
import { createTestDatabase } from '@millrace/testing';
import {
  applyChunk,
  applyMoved,
  createProperty,
  createStagingTable,
  createWorkspace,
  loadCatalogue,
  profileMigrations,
  resolveRows,
  stagingColumns,
  type ChunkCounts,
  type MergeShape,
  type PlanSummary,
} from '../src/index.js';

export interface StoreFixture {
  readonly database: Database;
  readonly workspaceId: number;
  catalogue(): Promise<Catalogue>;
  addProperty(name: string, options?: Partial<Property>): Promise<number>;
  close(): Promise<void>;
}

/** A store of its own with one workspace. */
export async function createStore(name: string): Promise<StoreFixture> {
  const testDatabase = await createTestDatabase(name, { migrate, sets: [profileMigrations] });
  const database = new Database({ url: testDatabase.url, applicationName: 'profile-store-test' });
  await database.query(sql`CREATE SCHEMA staging`);
  const workspace = await createWorkspace(database, { name: 'test', title: '' });
  return {
    database,
    workspaceId: workspace.id,
    catalogue: () => loadCatalogue(database, workspace.id),
    addProperty: async (property, options = {}) => {
      const created = await database.transaction((tx) =>
        createProperty(tx, workspace.id, {
          name: property,
          type: 'string',
          list: false,
          unique: false,
          labels: [],
          ...options,
        }),
      );
      return created.id;
    },
    close: async () => {
      await database.end();
      await testDatabase.drop();
    },
  };
}

export interface StagedRow {
  readonly ids: readonly (string | null)[];
  readonly assign?: object;
  readonly fill?: object;
  readonly append?: object;
  readonly increment?: object;
  readonly consent?: object;
  readonly groups?: object;
  readonly erase?: boolean;
}

let files = 0;

/** The shape of one file with tables of its own. */
export async function fileShape(
  store: StoreFixture,
  namespaces: readonly string[],
  overrides: Partial<MergeShape> = {},
): Promise<MergeShape> {
  files += 1;
  const file = files;
  const catalogue = await store.catalogue();
  return {
    workspaceId: catalogue.workspaceId,
    domainGroupId: catalogue.domainGroupId,
    staging: { schema: 'staging', name: `stage_${file}` },
    plan: { schema: 'staging', name: `plan_${file}` },
    planLines: { schema: 'staging', name: `plan_${file}_line` },
    namespaceIds: namespaces.map((code) => catalogue.namespaces.get(code)!.id),
    uses: { fill: false, clear: false, append: [], increment: [], consent: false },
    allowCreation: true,
    policy: 'unambiguous',
    maxComponentRows: 100,
    chunkLines: 1_000_000,
    persistence: 'durable',
    ...overrides,
  };
}

/** Stages rows as lines 1..n. */
export async function stageRows(tx: Transaction, shape: MergeShape, rows: readonly StagedRow[]): Promise<void> {
  await createStagingTable(tx, shape);
  const columns = stagingColumns(shape);
  for (const [index, row] of rows.entries()) {
    const values = columns.map((column) => {
      if (column === 'line') return sql`${index + 1}::bigint`;
      if (column.startsWith('id_')) return sql`${row.ids[Number(column.slice(3)) - 1] ?? null}::text`;
      if (column === 'erase') return sql`${row.erase ?? null}::boolean`;
      const part = row[column as keyof Omit<StagedRow, 'ids' | 'erase'>] ?? (column === 'assign' ? {} : undefined);
      return sql`${part === undefined ? null : JSON.stringify(part)}::jsonb`;
    });
    await tx.query(sql`INSERT INTO ${sql.id(shape.staging.schema, shape.staging.name)} VALUES (${sql.join(values)})`);
  }
}

export interface ImportedFile {
  readonly plan: PlanSummary;
  readonly counts: Omit<ChunkCounts, 'moved'>;
}

/** Stages, resolves and applies a file as the importer does: one transaction for each step. */
export async function importRows(
  store: StoreFixture,
  shape: MergeShape,
  rows: readonly StagedRow[],
): Promise<ImportedFile> {
  await store.database.transaction((tx) => stageRows(tx, shape, rows));
  const plan = await store.database.transaction((tx) => resolveRows(tx, shape, store.database));
  return { plan, counts: await applyPlan(store, shape, plan) };
}

export async function applyPlan(
  store: StoreFixture,
  shape: MergeShape,
  plan: PlanSummary,
): Promise<Omit<ChunkCounts, 'moved'>> {
  const all: ChunkCounts[] = [];
  for (let chunk = 0; chunk < plan.chunks; chunk += 1)
    all.push(await store.database.transaction((tx) => applyChunk(tx, shape, chunk)));
  for (let chunk = plan.chunks, moved = 1; moved > 0; chunk += 1) {
    const counts = await store.database.transaction((tx) => applyMoved(tx, shape, chunk));
    moved = counts.moved;
    all.push(counts);
  }
  const sum = (pick: (counts: ChunkCounts) => number): number => all.reduce((total, counts) => total + pick(counts), 0);
  return {
    created: sum((c) => c.created),
    updated: sum((c) => c.updated),
    unchanged: sum((c) => c.unchanged),
    profilesCreated: sum((c) => c.profilesCreated),
    profilesUpdated: sum((c) => c.profilesUpdated),
    profilesUnchanged: sum((c) => c.profilesUnchanged),
    events: sum((c) => c.events),
    eventLines: sum((c) => c.eventLines),
    eventsConflicting: sum((c) => c.eventsConflicting),
    ...(shape.uses.erase === true
      ? { erased: sum((c) => c.erased ?? 0), profilesErased: sum((c) => c.profilesErased ?? 0) }
      : {}),
    ...(shape.consentObjectives === undefined ? {} : { withheld: sum((c) => c.withheld ?? 0) }),
    ...(shape.erasedAfter === undefined ? {} : { erasedBefore: sum((c) => c.erasedBefore ?? 0) }),
    ...(shape.unit === undefined ? {} : { otherUnit: sum((c) => c.otherUnit ?? 0) }),
  };
}

/** The properties of the profile with this e-mail address, numbers as text. */
export async function propertiesOf(
  store: StoreFixture,
  value: string,
  namespace = 'email',
): Promise<string | undefined> {
  const namespaceId = (await store.catalogue()).namespaces.get(namespace)!.id;
  const { rows } = await store.database.query<{ properties: string }>(sql`
    SELECT p.properties FROM profile.profile p JOIN profile.identity i ON i.profile_id = p.id
    WHERE i.namespace_id = ${namespaceId} AND i.value = ${value}`);
  return rows[0]?.properties;
}

export async function countOf(store: StoreFixture, table: string): Promise<number> {
  const { rows } = await store.database.query<{ count: number }>(
    sql`SELECT count(*)::int AS count FROM ${sql.id('profile', table)}`,
  );
  return rows[0]!.count;
}
