import { parseArgs } from 'node:util';
import { StackError } from '@millrace/dev-stack';
import type { Bench } from './bench.js';
import { csvRead } from './csv-read.js';
import { exportDelta } from './export-delta.js';
import { exportEvents } from './export-events.js';
import { exportFull } from './export-full.js';
import { exportMemory } from './export-memory.js';
import { exportPgp } from './export-pgp.js';
import { exportProcesses } from './export-processes.js';
import { exportRows } from './export-rows.js';
import { importLinked } from './import-linked.js';
import { importMemory } from './import-memory.js';
import { importNew } from './import-new.js';
import { importOutbox } from './import-outbox.js';
import { importPgp } from './import-pgp.js';
import { importPublishing } from './import-publishing.js';
import { importUnchanged, importUpdate } from './import-update.js';
import { importVsPgloader } from './import-vs-pgloader.js';
import { ingest } from './ingest.js';
import { streamBackfill } from './stream-backfill.js';
import { streamHandover } from './stream-handover.js';
import { stream } from './stream.js';

const benches: Readonly<Record<string, Bench>> = {
  'csv-read': csvRead,
  'import-new': importNew,
  'import-update': importUpdate,
  'import-unchanged': importUnchanged,
  'import-linked': importLinked,
  'import-memory': importMemory,
  'import-outbox': importOutbox,
  'import-pgp': importPgp,
  'import-publishing': importPublishing,
  'import-vs-pgloader': importVsPgloader,
  'export-full': exportFull,
  'export-memory': exportMemory,
  'export-pgp': exportPgp,
  'export-processes': exportProcesses,
  'export-delta': exportDelta,
  'export-rows': exportRows,
  'export-events': exportEvents,
  stream,
  'stream-backfill': streamBackfill,
  'stream-handover': streamHandover,
  ingest,
};

const usage = `pnpm bench <name> [--rows N] [--runs N] [--segments N] [--parts N] [--goals N] [--json]

${Object.entries(benches)
  .map(([name, { about }]) => `  ${name.padEnd(18)} ${about}`)
  .join('\n')}

  --rows      rows or changes to move (default 100000)
  --runs      counted runs of each side, in turn; medians are quoted (default 3)
  --segments  segments that every written profile is evaluated against (default 0)
  --parts     files an export writes side by side (default 1)
  --goals     stream goals on the same changes (default 1)
  --json      print nothing but the closing JSON line`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rows: { type: 'string', default: '100000' },
      runs: { type: 'string', default: '3' },
      segments: { type: 'string', default: '0' },
      parts: { type: 'string', default: '1' },
      goals: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const bench = benches[positionals[0] ?? ''];
  if (values.help || bench === undefined) {
    console.log(usage);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  const say = values.json ? () => undefined : (line: string) => console.error(line);
  const result = await bench.run({
    rows: count('rows', values.rows, 1),
    runs: count('runs', values.runs, 1),
    segments: count('segments', values.segments, 0),
    parts: count('parts', values.parts, 1),
    goals: count('goals', values.goals, 1),
    say,
  });
  console.log(JSON.stringify(result));
}

function count(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least)
    throw new StackError(`--${name} must be a whole number of at least ${least}`, usage);
  return value;
}

try {
  await main();
} catch (error) {
  console.error(error instanceof StackError || (error instanceof TypeError && 'code' in error) ? error.message : error);
  process.exitCode = 1;
}
process.exit();
