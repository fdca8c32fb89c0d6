import { sql } from '@millrace/database';
import { dirtyColumns, dirtyFiles, type DirtyFile, type ExpectedRows } from '@millrace/delimited/dirty-files';
import type { ImportCounts } from '@millrace/domain';
import { ImportHarness, outcomes } from './import-harness.js';

let harness: ImportHarness;

beforeAll(async () => {
  harness = await ImportHarness.create(
    'dirty-files',
    dirtyColumns.slice(1).map((name) => ({ name })),
  );
  harness.startWorker({ settings: { maxStoredRejects: 1000 } });
});
afterAll(() => harness.close());

// One of the large ones shows that nothing is held; the reader's own tests have the others.
const files = dirtyFiles().filter(({ name }) => !name.includes('50 MB') || name.includes('in its last row'));

type Readable = DirtyFile & { readonly expected: ExpectedRows };
const readable = files.filter((file): file is Readable => !('refused' in file.expected));

const goalFor = (directory: string, dialect: DirtyFile['dialect']) =>
  harness.goal({
    source: { bucket: harness.bucket, directory, pattern: { kind: 'every' } },
    csv: dialect,
    mappings: dirtyColumns.slice(1).map((column) => ({ column, property: column })),
  });

interface ImportedFile {
  readonly key: string;
  readonly counts: ImportCounts;
  readonly rejected: readonly (readonly [line: number, code: string])[];
}

async function importedFiles(runId: string): Promise<readonly ImportedFile[]> {
  const { rows } = await harness.database.query<{ key: string; counts: string; rejected: string }>(sql`
    SELECT f.key, f.counts::text AS counts,
      (SELECT coalesce(json_agg(json_build_array(r.line, r.code) ORDER BY r.line), '[]')::text
       FROM importer.reject r WHERE r.file_id = f.id AND r.stage_number = f.reject_stage AND r.scope = 'row') AS rejected
    FROM importer.file f WHERE f.run_id = ${runId} ORDER BY f.id`);
  return rows.map(({ key, counts, rejected }) => ({
    key,
    counts: JSON.parse(counts) as ImportCounts,
    rejected: JSON.parse(rejected) as ImportedFile['rejected'],
  }));
}

function propertiesOf([, ...values]: readonly string[]): Record<string, string> {
  const named = values.map((value, index) => [dirtyColumns[index + 1] as string, value] as const);
  return Object.fromEntries(named.filter(([, value]) => value !== ''));
}

const dialects = [...new Set(readable.map(({ dialect }) => JSON.stringify(dialect)))].map(
  (text, number) => [text, number, readable.filter(({ dialect }) => JSON.stringify(dialect) === text)] as const,
);

describe('dirty files of one dialect', () => {
  it.each(dialects)('are imported but for their bad rows, and every count adds up: %s', async (_, number, group) => {
    const directory = `dialect-${number}`;
    const name = (index: number): string => `${directory}/${String(index).padStart(3, '0')}.csv`;
    for (const [index, file] of group.entries()) await harness.client.put(harness.bucket, name(index), file.content());
    const run = await harness.run(goalFor(directory, group[0]!.dialect));
    expect(run).toMatchObject({ outcome: 'succeeded', counts: { files: group.length } });
    expect(outcomes(run.counts)).toBe(run.counts.rowsRead);

    const imported = await importedFiles(run.runId);
    const profiles = await harness.profiles();
    for (const [index, { name: fact, expected }] of group.entries()) {
      const { key, counts, rejected } = imported[index]!;
      expect(key).toBe(name(index));
      const atFault = rejected.filter(([line]) => !expected.lost.has(line));
      expect([fact, atFault]).toEqual([fact, [...expected.bad]]);
      expect([fact, counts]).toMatchObject([
        fact,
        { rowsRead: expected.good.size + rejected.length, created: expected.good.size, rejected: rejected.length },
      ]);
      for (const fields of expected.good.values())
        expect([fact, fields[0], profiles[fields[0]!]]).toEqual([fact, fields[0], propertiesOf(fields)]);
    }
  });
});

const refused = files.flatMap((file) =>
  'refused' in file.expected ? [[file.name, file.expected.refused, file] as const] : [],
);

describe('a file that cannot be imported', () => {
  it.each(refused)('is refused, named, and leaves nothing: %s', async (fact, code, file) => {
    const directory = `refused-${refused.findIndex(([name]) => name === fact)}`;
    await harness.client.put(harness.bucket, `${directory}/people.csv`, file.content());
    const before = await harness.statistics();
    const run = await harness.run(goalFor(directory, file.dialect));
    expect(run).toMatchObject({ outcome: 'failed', error: { code } });
    expect(run.error?.message).toContain(`${directory}/people.csv`);
    expect(outcomes(run.counts)).toBe(run.counts.rowsRead);
    expect(await harness.statistics()).toEqual(before);
    expect(await harness.tables()).toEqual([]);
  });
});

it('makes more than 200 imports', () => {
  expect(readable.length + refused.length).toBeGreaterThan(200);
});
