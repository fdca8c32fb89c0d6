import { readFileSync } from 'node:fs';
import path from 'node:path';
import { goalSnapshot, type PgpKeys } from '@millrace/domain';
import type { WorkspaceRecord } from '@millrace/profile-store';
import type { BenchOptions, Sample } from './bench.js';
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

/** What the benches of the exporter share: the stack with an exporter, and N people, all of them in one segment. */
export interface ExportSetting {
  readonly bench: BenchStack;
  readonly workspace: WorkspaceRecord;
  readonly segmentId: string;
}

/** Starts the stack and fills its store; ends it after `work`. */
export async function withExportSetting<T>(
  { rows, say }: BenchOptions,
  work: (setting: ExportSetting) => Promise<T>,
): Promise<T> {
  const bench = await startBenchStack(['batch-exporter'], say);
  try {
    const workspace = await peopleWorkspace(bench.database);
    await emptyStore(bench.database);
    say(`seeding ${rows} profiles`);
    const segmentId = await seedProfiles(bench.database, workspace, rows);
    return await work({ bench, workspace, segmentId });
  } finally {
    await bench.stop();
  }
}

export interface ExportOptions {
  readonly goal?: Readonly<Record<string, unknown>>;
  /** The same as before: its watermark makes the run a delta. Absent: a goal of its own. */
  readonly goalId?: string;
  readonly pgp?: PgpKeys;
}

export interface ExportSample extends Sample {
  readonly counts: Readonly<Record<string, unknown>>;
  /** Of the worker, all its threads. */
  readonly cpuSeconds: number;
}

/** Exports the people's twelve columns, gzipped; takes the files out of the bucket again. */
export async function runExport(
  { bench, workspace, segmentId }: ExportSetting,
  { goal, goalId = crypto.randomUUID(), pgp }: ExportOptions = {},
): Promise<ExportSample> {
  const owner = { workspaceId: workspace.id, connectionId };
  const snapshot = goalSnapshot.parse({
    version: 1,
    ...owner,
    goalId,
    endpoint: sealedEndpoint(bench, 'batch-exporter', bench.stack.urls.s3, owner, pgp),
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
      ...goal,
    },
  });
  const worker = bench.services.pid('batch-exporter');
  const before = cpuSeconds(worker);
  const { seconds, counts } = await runGoal(bench, 'export-run', snapshot);
  const used = cpuSeconds(worker) - before;
  const files = ((counts['files'] ?? []) as { name: string }[]).map(({ name }) => name);
  for (const name of [...files, ...((counts['manifests'] ?? []) as string[])])
    await bench.bucket.delete(bucketName, name);
  return { seconds, counts, cpuSeconds: used, peakRssMiB: peakRssMiB(worker) };
}

/** The same, where every profile must come out. */
export async function runWholeExport(
  setting: ExportSetting,
  rows: number,
  options: ExportOptions = {},
): Promise<ExportSample> {
  const sample = await runExport(setting, options);
  if (sample.counts['rows'] !== rows) throw new Error(`${String(sample.counts['rows'])} of ${rows} rows were exported`);
  return sample;
}

/** Seconds of psql with a script of `bench/sql`, piped through a shell command such as `gzip -1` into a file. */
export async function timeCopyOut(
  { bench, workspace, segmentId }: ExportSetting,
  script: string,
  through: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Sample> {
  const file = writeScript(script, { segment: segmentId, workspace: String(workspace.id) });
  const command = `psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --file "$SCRIPT" "$DATABASE" | ${through} > "$TARGET"`;
  return {
    seconds: await timeShell(command, {
      SCRIPT: file,
      DATABASE: bench.stack.urls.database,
      TARGET: path.join(benchDirectory, 'export-floor'),
      ...env,
    }),
  };
}

/** Of a process since it began, in seconds (Linux: 100 ticks a second). */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
