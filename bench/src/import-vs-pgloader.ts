import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { StackError } from '@millrace/dev-stack';
import { alternate, type Bench } from './bench.js';
import { benchDirectory, emptyStore } from './bench-stack.js';
import { runWholeImport, upload, withImportSetting } from './import-setting.js';
import { peopleColumns, peopleFile } from './people-file.js';
import { timeShell } from './psql.js';

async function isInstalled(): Promise<boolean> {
  try {
    await promisify(execFile)('pgloader', ['--version']);
    return true;
  } catch {
    return false;
  }
}

function loadCommand(file: string, database: string): string {
  const columns = ['email', ...peopleColumns.map(([column]) => column)];
  const target = database.replace(/^postgres:/, 'postgresql:');
  return `LOAD CSV FROM '${file}' HAVING FIELDS (${columns.join(', ')})
  INTO ${target} TARGET TABLE public.bench_flat TARGET COLUMNS (${columns.join(', ')})
  WITH skip header = 1, fields optionally enclosed by '"', fields terminated by ','
  BEFORE LOAD DO
    $$ DROP TABLE IF EXISTS public.bench_flat; $$,
    $$ CREATE TABLE public.bench_flat (${columns.map((column) => `${column} text`).join(', ')}); $$;
`;
}

/** The whole import, identities resolved and outbox written, against pgloader copying the same file into one table without an index. */
export const importVsPgloader: Bench = {
  about: 'new profiles from a CSV file in S3, against pgloader into one flat table (skipped where it is not installed)',
  async run(options) {
    const { rows, say } = options;
    if (!(await isInstalled()))
      throw new StackError('skipped: pgloader was not found', 'install it (Debian: apt-get install pgloader)');
    const file = await peopleFile(rows);
    return withImportSetting(options, async (setting) => {
      const { bench } = setting;
      await upload(setting, 'people.csv', file);
      const command = path.join(benchDirectory, 'flat.load');
      // Holds the password of the bench's own server.
      writeFileSync(command, loadCommand(file, bench.stack.urls.database), { mode: 0o600 });
      say('floor: pgloader');
      return alternate(
        'import-vs-pgloader',
        options,
        async () => {
          await emptyStore(bench.database);
          return runWholeImport(setting, { name: 'people.csv' }, 'created', rows);
        },
        async () => {
          await emptyStore(bench.database);
          return { seconds: await timeShell(`pgloader --on-error-stop "$COMMAND"`, { COMMAND: command }) };
        },
      );
    });
  },
};
