import { createHash } from 'node:crypto';
import { sql } from '@millrace/database';
import { exportProfilesGoal, identityNamespace } from '@millrace/domain';
import { compileExportColumns, type Catalogue } from '@millrace/mapping';
import { createNamespace, findProfile, loadCatalogue } from '@millrace/profile-store';
import { ImportHarness, outcomes, type FinishedRun } from './import-harness.js';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

let harness: ImportHarness;
let catalogue: Catalogue;
beforeAll(async () => {
  harness = await ImportHarness.create('identifiers', [{ name: 'name' }]);
  for (const [code, normalisation] of [
    ['shouted', { case: 'upper' }],
    ['hashedEmail', { case: 'lower', hash: 'sha256' }],
  ] as const) {
    const namespace = identityNamespace.parse({ code, normalisation });
    await harness.database.transaction((tx) => createNamespace(tx, harness.workspaceId, namespace));
  }
  catalogue = await loadCatalogue(harness.database, harness.workspaceId);
  harness.startWorker();
});
afterAll(() => harness.close());

let directory = 0;
async function importIdentifier(namespace: string, ...values: readonly string[]): Promise<FinishedRun> {
  directory += 1;
  const source = { bucket: harness.bucket, directory: `i${directory}`, pattern: { kind: 'every' } };
  const rows = values.map((value) => `"${value}",Ann\n`).join('');
  await harness.client.put(harness.bucket, `i${directory}/people.csv`, `id,name\n${rows}`);
  const matching = { identifiers: [{ column: 'id', namespace }] };
  const run = await harness.run(harness.goal({ source, matching, mappings: [{ column: 'name', property: 'name' }] }));
  expect(outcomes(run.counts)).toBe(run.counts.rowsRead);
  return run;
}

/** What a column of an export holds for a profile. */
async function exported(namespace: string, profileId: string): Promise<string | undefined> {
  const goal = exportProfilesGoal.parse({
    kind: 'export-profiles',
    name: 'out',
    segmentId: '0197a000-0000-7000-8000-000000000001',
    target: { bucket: 'bucket' },
    columns: [{ header: 'id', source: { kind: 'identity', namespace } }],
  });
  const [column] = compileExportColumns(goal, catalogue).expressions;
  const { rows } = await harness.database.query<{ value: string }>(
    sql`SELECT ${column!} AS value FROM profile.profile p WHERE p.id = ${profileId}`,
  );
  return rows[0]?.value;
}

it.each([
  ['email', ['  Ann@Example.ORG ', 'ann@example.org'], 'ANN@example.org', 'ann@example.org'],
  ['phone', ['+49 (30) 12-34', '+49301234'], '+49 30 / 1234', '+49301234'],
  ['shouted', [' ab-1', 'Ab-1'], 'aB-1 ', 'AB-1'],
  [
    'hashedEmail',
    [' Ann@Example.org', sha256('ann@example.org').toUpperCase()],
    'ANN@EXAMPLE.ORG',
    sha256('ann@example.org'),
  ],
])(
  'in %s are one on import, look-up and export, however they are written',
  async (namespace, written, asked, stored) => {
    expect((await importIdentifier(namespace, ...written)).counts).toMatchObject({ created: 2, profilesCreated: 1 });
    const found = await findProfile(harness.database, catalogue, { namespace, value: asked });
    const { id, identities } = JSON.parse(found ?? '{}') as { id: string; identities: unknown };
    expect(identities).toEqual([{ namespace, value: stored }]);
    expect(await exported(namespace, id)).toBe(stored);
    // What was exported finds its profile when it comes back.
    expect((await importIdentifier(namespace, stored)).counts).toMatchObject({ created: 0, unchanged: 1 });
  },
);
