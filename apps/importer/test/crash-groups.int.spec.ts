import { sql } from '@millrace/database';
import { importGroupsGoal } from '@millrace/domain';
import { createGroupType } from '@millrace/profile-store';
import { ImportHarness, outcomes } from './import-harness.js';
import { killEverywhere } from './killed-everywhere.js';

let harness: ImportHarness;

beforeAll(async () => {
  harness = await ImportHarness.create('crash-groups');
  await createGroupType(harness.database, harness.workspaceId, {
    code: 'company',
    properties: [
      { name: 'revenue', type: 'decimal', list: false },
      { name: 'tags', type: 'string', list: true },
    ],
  });
});
afterAll(() => harness.close());

/** Ten companies in twelve rows, one of them rejected; one is there already. Everything is named after the attempt. */
async function openImport(name: string): Promise<string> {
  await harness.database.query(sql`
    INSERT INTO profile.group (group_type_id, key, properties) SELECT id, ${`${name}-3`}, '{"revenue": 10}' FROM profile.group_type`);
  const rows = Array.from({ length: 10 }, (_, number) => `${name}-${number},1.5,a`);
  await harness.client.put(
    harness.bucket,
    `${name}/companies.csv`,
    `key,revenue,tag\n${rows.join('\n')}\n${name}-3,2,b\n${name}-4,many,c\n`,
  );
  return harness.open(
    importGroupsGoal.parse({
      kind: 'import-groups',
      name: 'companies',
      groupType: 'company',
      source: { bucket: harness.bucket, directory: name, pattern: { kind: 'exact', name: 'companies.csv' } },
      matching: { column: 'key' },
      mappings: [
        { column: 'revenue', property: 'revenue', rule: 'sum' },
        { column: 'tag', property: 'tags', rule: 'add' },
      ],
      afterImport: 'done-suffix',
    }),
  );
}

async function expectImportedOnce(name: string, runId: string): Promise<void> {
  const run = await harness.finished(runId);
  expect(run).toMatchObject({
    outcome: 'succeeded',
    counts: { files: 1, rowsRead: 12, created: 9, updated: 2, rejected: 1, groupsCreated: 9, groupsUpdated: 1 },
  });
  expect(outcomes(run.counts)).toBe(12);
  const { rows } = await harness.database.query<{ key: string; properties: string }>(
    sql`SELECT key, properties FROM profile.group WHERE starts_with(key, ${`${name}-`}) ORDER BY key`,
  );
  expect(rows.map(({ properties }) => JSON.parse(properties) as unknown)).toEqual(
    Array.from({ length: 10 }, (_, number) =>
      number === 3 ? { revenue: 13.5, tags: ['a', 'b'] } : { revenue: 1.5, tags: ['a'] },
    ),
  );
  expect((await harness.client.list(harness.bucket, `${name}/`)).map(({ key }) => key)).toEqual([
    `${name}/companies.csv.done`,
  ]);
}

describe.each(['before', 'after'] as const)('a process killed just %s any of its effects', (when) => {
  it('leaves an import of groups that another process ends with the same counts and every sum added once', async () => {
    const killAt = await killEverywhere(harness, when, { open: openImport, expectDone: expectImportedOnce });
    expect(killAt).toBeGreaterThan(15);
  });
});
