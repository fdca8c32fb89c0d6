import { createReadStream, statSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { goalSnapshot, type ImportProfilesGoal, type PgpKeys } from '@millrace/domain';
import {
  buildSegments,
  createSegment,
  deleteSegment,
  listSegments,
  loadCatalogue,
  registerStreamTarget,
  removeStreamTarget,
  type WorkspaceRecord,
} from '@millrace/profile-store';
import type { BenchOptions, Sample } from './bench.js';
import {
  bucketName,
  emptyStore,
  peakRssMiB,
  runGoal,
  sealedEndpoint,
  startBenchStack,
  type BenchStack,
  type GoalRun,
} from './bench-stack.js';
import { peopleMappings, peopleWorkspace } from './people-file.js';
import { timePsql } from './psql.js';

const connectionId = '00000000-0000-4000-8000-00000000000c';
const streamGoalId = '00000000-0000-4000-8000-00000000000e';

/** What the benches of the importer share: the stack with an importer, and a workspace with the properties of the people file. */
export interface ImportSetting {
  readonly bench: BenchStack;
  readonly workspace: WorkspaceRecord;
  readonly domainGroupId: number;
  /** Of the namespace `email`. */
  readonly namespaceId: number;
  /** By property name. */
  readonly propertyIds: ReadonlyMap<string, number>;
}

/** Starts the stack with an empty store, a stream goal that maps every property, and `options.segments` segments; ends it after `work`. */
export async function withImportSetting<T>(
  { segments, say }: BenchOptions,
  work: (setting: ImportSetting) => Promise<T>,
): Promise<T> {
  const bench = await startBenchStack(['importer'], say);
  try {
    const workspace = await peopleWorkspace(bench.database);
    const catalogue = await loadCatalogue(bench.database, workspace.id);
    const setting: ImportSetting = {
      bench,
      workspace,
      domainGroupId: catalogue.domainGroupId,
      namespaceId: catalogue.namespaces.get('email')!.id,
      propertyIds: new Map([...catalogue.properties.values()].map(({ name, id }) => [name, id])),
    };
    await emptyStore(bench.database);
    await listen(setting, true);
    await defineSegments(bench, workspace.id, segments);
    return await work(setting);
  } finally {
    await bench.stop();
  }
}

/** Whether a stream goal maps every property, so that writers make outbox rows. Nothing publishes them. */
export async function listen({ bench, workspace, propertyIds }: ImportSetting, active: boolean): Promise<void> {
  await bench.database.transaction((tx) =>
    active
      ? registerStreamTarget(tx, {
          goalId: streamGoalId,
          workspaceId: workspace.id,
          propertyIds: [...propertyIds.values()],
          suppressSameValue: false,
        })
      : removeStreamTarget(tx, workspace.id, streamGoalId),
  );
}

/** Puts a local file into the bucket's directory `import`. */
export async function upload({ bench }: Pick<ImportSetting, 'bench'>, name: string, file: string): Promise<void> {
  const body = Readable.toWeb(createReadStream(file)) as ReadableStream;
  await bench.bucket.put(bucketName, path.posix.join('import', name), body, statSync(file).size);
}

export type ImportingWorkspace = Pick<ImportSetting, 'bench' | 'workspace'>;

export interface ImportOptions {
  /** The object's name in the directory `import`. */
  readonly name: string;
  readonly goal?: Partial<ImportProfilesGoal>;
  readonly pgp?: PgpKeys;
}

/** Runs an import of the people file's columns; a goal of its own each time, so that no ledger line says the file is known. */
export async function runImport(
  { bench, workspace }: ImportingWorkspace,
  { name, goal, pgp }: ImportOptions,
): Promise<GoalRun & Sample> {
  const owner = { workspaceId: workspace.id, connectionId };
  const snapshot = goalSnapshot.parse({
    version: 1,
    ...owner,
    goalId: crypto.randomUUID(),
    endpoint: sealedEndpoint(bench, 'importer', bench.stack.urls.s3, owner, pgp),
    goal: {
      kind: 'import-profiles',
      name,
      source: { bucket: bucketName, directory: 'import', pattern: { kind: 'exact', name } },
      matching: { identifiers: [{ column: 'email', namespace: 'email' }] },
      mappings: peopleMappings(),
      ...goal,
    },
  });
  const run = await runGoal(bench, 'import-run', snapshot);
  return { ...run, peakRssMiB: peakRssMiB(bench.services.pid('importer')) };
}

/** The same, where every row must come to one outcome. */
export async function runWholeImport(
  setting: ImportingWorkspace,
  options: ImportOptions,
  outcome: 'created' | 'updated' | 'unchanged',
  rows: number,
): Promise<Sample> {
  const { seconds, counts, peakRssMiB: peak } = await runImport(setting, options);
  if (counts[outcome] !== rows) throw new Error(`${String(counts[outcome])} of ${rows} rows were ${outcome}`);
  return { seconds, ...(peak === undefined ? {} : { peakRssMiB: peak }) };
}

/** Times a hand-written script of `bench/sql` for the people file. */
export async function timeFloor(
  { bench, workspace, domainGroupId, namespaceId, propertyIds }: ImportSetting,
  script: string,
  file: string,
): Promise<Sample> {
  const ids = [...propertyIds].map(([name, id]): [string, string] => [`property_${name}`, String(id)]);
  return {
    seconds: await timePsql(bench.stack.urls.database, script, {
      file,
      workspace: String(workspace.id),
      namespace: String(namespaceId),
      domain_group: String(domainGroupId),
      ...Object.fromEntries(ids),
    }),
  };
}

async function defineSegments({ database }: BenchStack, workspaceId: number, wanted: number): Promise<void> {
  for (const { id } of await listSegments(database, workspaceId)) await deleteSegment(database, workspaceId, id);
  const cities = ['Berlin', 'Köln', 'London', 'Oulu', 'Torino'];
  for (let number = 0; number < wanted; number += 1) {
    await createSegment(database, workspaceId, {
      name: `bench ${number}`,
      rule: {
        kind: 'all',
        rules: [
          { kind: 'property', property: 'address.city', op: 'equals', value: cities[number % cities.length]! },
          { kind: 'property', property: 'score', op: 'greater', value: number * 40 },
        ],
      },
    });
  }
  while (await buildSegments(database));
}
