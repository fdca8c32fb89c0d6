import path from 'node:path';
import { goalSnapshot, type GoalSnapshot } from '@millrace/domain';
import { alternate, type Bench, type Sample } from './bench.js';
import {
  benchDirectory,
  bucketName,
  emptyStore,
  peakRssMiB,
  runGoal,
  sealedEndpoint,
  startBenchStack,
  type BenchStack,
} from './bench-stack.js';
import { peopleColumns, peopleWorkspace } from './people-file.js';
import { timeShell, writeScript } from './psql.js';
import { seedProfiles } from './seed-profiles.js';

const connectionId = '00000000-0000-4000-8000-00000000000c';

/** A full export of N profiles, 12 columns, gzip, to the S3 stand-in, against psql piped into gzip. */
export const exportFull: Bench = {
  about: 'a full export, 12 columns, gzip, to S3, against psql \\copy | gzip -1',
  async run(options) {
    const { rows, parts, say } = options;
    const bench = await startBenchStack(['batch-exporter'], say);
    try {
      const workspace = await peopleWorkspace(bench.database);
      await emptyStore(bench.database);
      say(`seeding ${rows} profiles`);
      const segmentId = await seedProfiles(bench.database, workspace, rows);
      const script = writeScript('export-full-floor.sql', { segment: segmentId, workspace: String(workspace.id) });
      const target = path.join(benchDirectory, 'export-floor.csv.gz');

      const ours = async (): Promise<Sample> => {
        const { seconds, counts } = await runGoal(
          bench,
          'export-run',
          snapshotOf(bench, workspace.id, segmentId, parts),
        );
        if (counts['rows'] !== rows) throw new Error(`${String(counts['rows'])} of ${rows} rows were exported`);
        for (const { name } of counts['files'] as { name: string }[]) await bench.bucket.delete(bucketName, name);
        return { seconds, peakRssMiB: peakRssMiB(bench.services.pid('batch-exporter')) };
      };
      const floor = async (): Promise<Sample> => ({
        seconds: await timeShell(
          `psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --file "$SCRIPT" "$DATABASE" | gzip -1 > "$TARGET"`,
          {
            SCRIPT: script,
            DATABASE: bench.stack.urls.database,
            TARGET: target,
          },
        ),
      });
      return { ...(await alternate('export-full', options, ours, floor)), parts };
    } finally {
      await bench.stop();
    }
  },
};

/** A goal of its own each time, so that no watermark makes the run a delta. */
function snapshotOf(bench: BenchStack, workspaceId: number, segmentId: string, parts: number): GoalSnapshot {
  const goalId = crypto.randomUUID();
  return goalSnapshot.parse({
    version: 1,
    workspaceId,
    connectionId,
    goalId,
    endpoint: sealedEndpoint(bench, 'batch-exporter', bench.stack.urls.s3, { workspaceId, connectionId }),
    goal: {
      kind: 'export-profiles',
      name: 'people',
      segmentId,
      target: { bucket: bucketName, directory: `export/${goalId}` },
      fileName: 'people_%TIMESTAMP%',
      columns: [
        ...peopleColumns.map(([header, property]) => ({ header, source: { kind: 'property', property } })),
        { header: 'id', source: { kind: 'profile-id' } },
      ],
      compression: 'gzip',
      parts,
    },
  });
}
