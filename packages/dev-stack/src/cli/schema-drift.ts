// schema-drift.js [--write]: compares what the migrations make of an empty database with docs/schema/*.txt.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describeSchemas } from '../schema/describe-schema.js';
import { migrateServices, repositoryRoot } from '../services.js';
import { startStack } from '../stack.js';
import { tell } from './console.js';

const folder = path.join(repositoryRoot, 'docs/schema');

async function made(): Promise<ReadonlyMap<string, string>> {
  const directory = mkdtempSync(path.join(tmpdir(), 'millrace-schema-'));
  chmodSync(directory, 0o711);
  const stack = await startStack({ directory, needs: ['postgres'], env: {}, throwaway: true });
  try {
    await migrateServices(stack);
    return await describeSchemas(stack.urls.database);
  } finally {
    await stack.stop();
  }
}

function firstDifference(expected: string, actual: string): string {
  const [was, is] = [expected.split('\n'), actual.split('\n')];
  const line = is.findIndex((text, index) => text !== was[index]);
  const at = line < 0 ? is.length : line;
  return `line ${at + 1}: committed "${was[at] ?? '(end)'}", migrated "${is[at] ?? '(end)'}"`;
}

async function main(): Promise<number> {
  const listings = await made();
  mkdirSync(folder, { recursive: true });
  const committed = readdirSync(folder).filter((name) => name.endsWith('.txt'));
  const gone = committed.filter((name) => !listings.has(path.basename(name, '.txt')));
  if (process.argv.includes('--write')) {
    for (const name of gone) rmSync(path.join(folder, name));
    for (const [schema, text] of listings) writeFileSync(path.join(folder, `${schema}.txt`), text);
    console.log(`wrote ${[...listings.keys()].map((schema) => `docs/schema/${schema}.txt`).join(', ')}`);
    return 0;
  }
  const complaints = gone.map((name) => `docs/schema/${name}: no migration makes this schema`);
  for (const [schema, text] of listings) {
    const file = path.join(folder, `${schema}.txt`);
    const known = existsSync(file) ? readFileSync(file, 'utf8') : '';
    if (known !== text) complaints.push(`docs/schema/${schema}.txt: ${firstDifference(known, text)}`);
  }
  for (const complaint of complaints) console.error(complaint);
  if (complaints.length > 0)
    console.error('Next step: if the change is meant, `pnpm schema:write` and commit the listing with the migration.');
  return complaints.length > 0 ? 1 : 0;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    tell(error, path.join(repositoryRoot, '.dev'));
    process.exit(1);
  },
);
