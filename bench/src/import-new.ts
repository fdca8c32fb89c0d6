import { createReadStream, statSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { goalSnapshot } from '@millrace/domain';
import {
  buildSegments,
  createSegment,
  deleteSegment,
  listSegments,
  loadCatalogue,
  registerStreamTarget,
} from '@millrace/profile-store';
import { alternate, type Bench } from './bench.js';
import {
  bucketName,
  emptyStore,
  peakRssMiB,
  runGoal,
  sealedEndpoint,
  startBenchStack,
  type BenchStack,
} from './bench-stack.js';
import { peopleFile, peopleMappings, peopleWorkspace } from './people-file.js';
import { timePsql } from './psql.js';

const connectionId = '00000000-0000-4000-8000-00000000000c';
const streamGoalId = '00000000-0000-4000-8000-00000000000e';

/** N new profiles of 12 columns and one identity each, through the importer, against one psql connection doing the same. */
export const importNew: Bench = {
  about: 'new profiles from a CSV file in S3, against \\copy and hand-written SQL',
  async run(options) {
    const { rows, segments, say } = options;
    const file = await peopleFile(rows);
    const bench = await startBenchStack(['importer'], say);
    try {
      const workspace = await peopleWorkspace(bench.database);
      const catalogue = await loadCatalogue(bench.database, workspace.id);
      const propertyIds = [...catalogue.properties.values()].map(({ id }) => id);
      await bench.database.transaction((tx) =>
        registerStreamTarget(tx, {
          goalId: streamGoalId,
          workspaceId: workspace.id,
          propertyIds,
          suppressSameValue: false,
        }),
      );
      await emptyStore(bench.database);
      await defineSegments(bench, workspace.id, segments);
      say(`uploading ${path.basename(file)}`);
      await bench.bucket.put(
        bucketName,
        'import/people.csv',
        Readable.toWeb(createReadStream(file)) as ReadableStream,
        statSync(file).size,
      );

      const ours = async (): Promise<{ seconds: number; peakRssMiB: number }> => {
        await emptyStore(bench.database);
        const { seconds, counts } = await runGoal(bench, 'import-run', peopleGoal(bench, workspace.id));
        if (counts['created'] !== rows) throw new Error(`${String(counts['created'])} of ${rows} rows were created`);
        return { seconds, peakRssMiB: peakRssMiB(bench.services.pid('importer')) };
      };
      const floor = async (): Promise<{ seconds: number }> => {
        await emptyStore(bench.database);
        return {
          seconds: await timePsql(bench.stack.urls.database, 'import-new-floor.sql', {
            file,
            workspace: String(workspace.id),
            namespace: String(catalogue.namespaces.get('email')?.id),
            domain_group: String(catalogue.domainGroupId),
          }),
        };
      };
      return { ...(await alternate('import-new', options, ours, floor)), segments };
    } finally {
      await bench.stop();
    }
  },
};

/** A goal of its own each time, so that no ledger line says the file is known. */
function peopleGoal(bench: BenchStack, workspaceId: number): ReturnType<typeof goalSnapshot.parse> {
  return goalSnapshot.parse({
    version: 1,
    workspaceId,
    connectionId,
    goalId: crypto.randomUUID(),
    endpoint: sealedEndpoint(bench, 'importer', bench.stack.urls.s3, { workspaceId, connectionId }),
    goal: {
      kind: 'import-profiles',
      name: 'people',
      source: { bucket: bucketName, directory: 'import', pattern: { kind: 'exact', name: 'people.csv' } },
      matching: { identifiers: [{ column: 'email', namespace: 'email' }] },
      mappings: peopleMappings(),
    },
  });
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
