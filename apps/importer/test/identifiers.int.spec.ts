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

describe("a profile's own id", () => {
  const idOf = async (value: string): Promise<string> =>
    (
      JSON.parse((await findProfile(harness.database, catalogue, { namespace: 'customerId', value })) ?? '{}') as {
        id: string;
      }
    ).id;
  const ownId = { column: 'profile', namespace: '(profile-id)' };
  const email = { column: 'email', namespace: 'email' };
  const nobody = '0197a000-0000-7000-8000-000000000009';

  async function importRows(
    identifiers: readonly object[],
    rows: readonly string[],
    matching: object = {},
  ): Promise<FinishedRun> {
    directory += 1;
    const source = { bucket: harness.bucket, directory: `i${directory}`, pattern: { kind: 'every' } };
    const content = ['profile,email,name', ...rows, ''].join('\n');
    await harness.client.put(harness.bucket, `i${directory}/people.csv`, content);
    const mappings = [{ column: 'name', property: 'name' }];
    const run = await harness.run(
      harness.goal({ source, mappings, matching: { identifiers, ...matching }, rejectLimit: { rows: 9 } }),
    );
    expect(outcomes(run.counts)).toBe(run.counts.rowsRead);
    return run;
  }

  it('finds the profile, creates none, and rejects what is no id', async () => {
    await importIdentifier('customerId', 'own-1', 'own-2');
    const [first, second] = [await idOf('own-1'), await idOf('own-2')];
    const rows = [`${first.toUpperCase()},,Eve`, `${nobody},,Eve`, 'own-1,,Eve', `${second},,Ann`, `${first},,Zoe`];
    const run = await importRows([ownId], rows);
    expect(run.counts).toMatchObject({ updated: 2, unchanged: 1, skipped: { unmatched: 1 }, rejected: 1, created: 0 });
    const profiles = await harness.profiles();
    expect([profiles['own-1'], profiles['own-2']]).toEqual([{ name: 'Zoe' }, { name: 'Ann' }]);
  });

  it('is looked up beside identities, which the profile gets, and which may disagree', async () => {
    await importIdentifier('customerId', 'both-1', 'both-2');
    const [first, second] = [await idOf('both-1'), await idOf('both-2')];
    const given = await importRows(
      [ownId, email],
      [`${first},first@x.org,Eve`, ',new@x.org,New', `${nobody},no@x.org,No`],
    );
    expect(given.counts).toMatchObject({ updated: 1, created: 1, skipped: { unmatched: 1 } });
    expect((await harness.profiles('email'))['first@x.org']).toEqual({ name: 'Eve' });
    const torn = [`${second},first@x.org,Both`];
    expect((await importRows([ownId, email], torn)).counts).toMatchObject({ ambiguous: 1 });
    expect((await importRows([email, ownId], torn, { policy: 'first-match' })).counts).toMatchObject({ updated: 1 });
    expect((await harness.profiles('email'))['first@x.org']).toEqual({ name: 'Both' });
  });
});
