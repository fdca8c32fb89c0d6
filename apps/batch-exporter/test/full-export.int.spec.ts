import { createHash, randomUUID } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { sql } from '@millrace/database';
import { ExportFixture } from './export-fixture.js';

describe('a full export', () => {
  let fixture: ExportFixture;

  beforeAll(async () => {
    fixture = await ExportFixture.create('full_export');
    await fixture.addProfiles(
      Array.from({ length: 500 }, (_, index) => ({ email: `user${index}@x.test`, points: index })),
    );
    fixture.startWorker();
  });

  afterAll(async () => {
    await fixture.close();
  });

  it('writes each profile once, with the mapped headers in their order', async () => {
    const { outcome, counts } = await fixture.run(randomUUID());
    expect(outcome).toBe('succeeded');
    expect(counts).toMatchObject({
      rows: 500,
      mode: 'full',
      reason: 'no export of this goal has been delivered before',
      members: 500,
    });
    const [file] = counts.files;
    const text = (await fixture.read(file?.name ?? '')).toString();
    expect(text.slice(0, text.indexOf('\n'))).toBe('E-mail,Points');
    expect(await fixture.rows(counts)).toEqual(
      Array.from({ length: 500 }, (_, index) => `user${index}@x.test,${index}`).sort(),
    );
  });

  it('shares the profiles among its files, and lists each with rows, bytes and SHA-256 in a manifest beside them', async () => {
    const { counts } = await fixture.run(randomUUID(), fixture.goal({ parts: 3, fileName: 'three_%TIMESTAMP%' }));
    expect(counts.files).toHaveLength(3);
    expect(await fixture.rows(counts)).toHaveLength(500);
    expect(new Set(await fixture.rows(counts)).size).toBe(500);
    const manifest = await fixture.manifest(counts);
    expect(manifest).toMatchObject({ version: 1, mode: 'full', rows: 500 });
    for (const [index, file] of manifest.files.entries()) {
      const bytes = await fixture.read(`out/${file.name}`);
      expect(file.name).toMatch(index === 0 ? /^three_\d{10}\.csv$/ : new RegExp(`^three_\\d{10}_${index + 1}\\.csv$`));
      expect(file).toMatchObject({
        bytes: bytes.length,
        sha256: createHash('sha256').update(bytes).digest('hex'),
        rows: bytes.toString().split('\n').length - 2,
      });
    }
  });

  it('splits by rows, in full and in a delta, and keeps no selection behind', async () => {
    const goalId = randomUUID();
    const goal = fixture.goal({ splitRows: 60, fileName: 'split_%DATETIME%' });
    const { counts } = await fixture.run(goalId, goal);
    expect(counts.files.map((file) => file.rows)).toEqual([...Array.from({ length: 8 }, () => 60), 20]);
    expect(counts.files[8]?.name).toMatch(/_9\.csv$/);
    expect(counts).toMatchObject({ rows: 500, due: 500 });
    expect(new Set(await fixture.rows(counts)).size).toBe(500);
    await fixture.database.query(sql`
      UPDATE profile.profile SET changed_xid = pg_current_xact_id() WHERE (properties->>'points')::int < 100`);
    const delta = await fixture.run(goalId, goal);
    expect(delta.counts.files.map((file) => file.rows)).toEqual([60, 40]);
    expect((await fixture.run(goalId, goal)).counts.files).toEqual([]);
    const header = await fixture.run(goalId, fixture.goal({ ...goal, emptyResult: 'header-only' }));
    expect(header.counts.files.map((file) => file.rows)).toEqual([0]);
    expect((await fixture.database.query(sql`SELECT FROM exporter.selected`)).rows).toEqual([]);
    expect(await fixture.run(randomUUID(), fixture.goal({ mode: 'full', splitRows: 499 }))).toMatchObject({
      outcome: 'succeeded',
      counts: { rows: 500 },
    });
  });

  it('says how many rows a file must have at least, before a split makes too many', async () => {
    await fixture.addProfiles(Array.from({ length: 501 }, () => ({ email: 'many@x.test' })));
    expect(await fixture.run(randomUUID(), fixture.goal({ splitRows: 1 }))).toMatchObject({
      outcome: 'failed',
      error: { code: 'too-many-files', message: expect.stringMatching(/at least 2 rows a file$/) as string },
    });
    await fixture.database.query(sql`DELETE FROM profile.profile WHERE properties->>'email' = 'many@x.test'`);
    await fixture.database.query(
      sql`DELETE FROM profile.membership m WHERE NOT EXISTS (SELECT FROM profile.profile p WHERE p.id = m.profile_id)`,
    );
    expect((await fixture.database.query(sql`SELECT FROM exporter.selected`)).rows).toEqual([]);
  });

  it('compresses with gzip', async () => {
    const { counts } = await fixture.run(
      randomUUID(),
      fixture.goal({ compression: 'gzip', fileName: 'zipped_%DATETIME%' }),
    );
    const [file] = counts.files;
    expect(file?.name).toMatch(/\.csv\.gz$/);
    expect(
      gunzipSync(await fixture.read(file?.name ?? ''))
        .toString()
        .split('\n'),
    ).toHaveLength(502);
  });

  it('leaves out profiles without a value for any mapped property, and those that left the segment', async () => {
    const [nameless, left] = await fixture.addProfiles([{ 'person.name': 'No Mail' }, { email: 'left@x.test' }]);
    await fixture.database.query(sql`UPDATE profile.membership SET status = 'exited' WHERE profile_id = ${left ?? ''}`);
    const { counts } = await fixture.run(randomUUID(), fixture.goal({ fileName: 'eligible_%DATETIME%' }));
    expect(counts.rows).toBe(500);
    await fixture.database.query(sql`DELETE FROM profile.profile WHERE id = ANY (${[nameless, left]}::uuid[])`);
  });

  it('withholds profiles that do not consent to one of the objectives, and counts them', async () => {
    const { rows } = await fixture.database.query<{ id: string }>(
      sql`SELECT id FROM profile.profile ORDER BY id LIMIT 3`,
    );
    const [granted, refused, other] = rows.map((row) => row.id);
    await fixture.database.query(sql`
      INSERT INTO profile.consent (profile_id, objective, granted)
      VALUES (${granted}, 'news', true), (${refused}, 'news', false), (${other}, 'offers', true)`);
    const goal = fixture.goal({ consentObjectives: ['news', 'parties'], fileName: 'consent_%DATETIME%' });
    const { counts } = await fixture.run(randomUUID(), goal);
    expect(counts).toMatchObject({ rows: 1, withheld: 499, members: 501 });
  });

  it('withholds profiles that lack a mandatory property, and counts everybody by the first reason', async () => {
    const { rows } = await fixture.database.query<{ id: string }>(
      sql`SELECT id FROM profile.profile ORDER BY id LIMIT 3`,
    );
    const [first, second] = rows.map((row) => row.id);
    await fixture.setProperty(first ?? '', 'person.name', 'Asa');
    await fixture.setProperty(second ?? '', 'person.name', 'Bo');
    const [nameless] = await fixture.addProfiles([{ 'person.name': 'No Mail' }]);
    const goalId = randomUUID();
    const goal = fixture.goal({
      mandatory: ['person.name'],
      consentObjectives: ['news'],
      fileName: 'mandatory_%DATETIME%',
    });
    const { counts } = await fixture.run(goalId, goal);
    expect(counts).toMatchObject({
      rows: 1,
      due: 1,
      withheld: 500,
      withheldBy: { 'no-mapped-value': 1, 'missing:person.name': 498, 'no-consent': 1 },
    });
    await fixture.setProperty(first ?? '', 'points', 5000);
    await fixture.setProperty(second ?? '', 'points', 5001);
    expect((await fixture.run(goalId, goal)).counts).toMatchObject({
      rows: 1,
      mode: 'delta',
      touched: 2,
      due: 1,
      withheld: 1,
      withheldBy: { 'no-consent': 1 },
    });
    await fixture.database.query(sql`DELETE FROM profile.profile WHERE id = ${nameless}`);
  });

  it('never overwrites: names with a time give way, names without fail the run', async () => {
    const fixed = fixture.goal({ fileName: 'fixed' });
    expect((await fixture.run(randomUUID(), fixed)).outcome).toBe('succeeded');
    const before = await fixture.objects();
    expect(await fixture.run(randomUUID(), fixed)).toMatchObject({
      outcome: 'failed',
      error: { code: 'object-exists', message: expect.stringMatching(/out\/fixed\.csv/) as string },
    });
    expect(await fixture.objects()).toEqual(before);

    const perSecond = fixture.goal({ fileName: '%TIMESTAMP%' });
    const outcomes = await Promise.all(Array.from({ length: 4 }, () => fixture.run(randomUUID(), perSecond)));
    const names = outcomes.flatMap(({ counts }) => [...counts.files.map((file) => file.name), counts.manifest]);
    expect(new Set(names).size).toBe(8);
    expect(outcomes.every(({ counts }) => counts.rows === 500)).toBe(true);
  });

  it('announces the files in every dialect asked for, and last of all by a token file that waits to be taken', async () => {
    const order: string[] = [];
    const store = fixture.store();
    await fixture.stopWorkers();
    fixture.startWorker(
      fixture.exporter({
        openTarget: ({ endpoint }) => ({
          endpoint,
          store: {
            ...store,
            completeUpload: async (bucket, key, uploadId, receipt) => {
              await store.completeUpload(bucket, key, uploadId, receipt);
              order.push(key);
            },
          },
        }),
      }),
    );
    const goalId = randomUUID();
    const goal = fixture.goal({
      fileName: 'told_%DATETIME%',
      manifests: [{ kind: 'pega', processType: 'IMPORT' }, { kind: 'adobe' }, { kind: 'millrace' }],
      tokenFile: 'ready.tok',
      mode: 'full',
    });
    const { counts } = await fixture.run(goalId, goal);
    const manifests = counts.manifests ?? [];
    expect(order).toEqual([...counts.files.map((file) => file.name), ...manifests, 'out/ready.tok']);
    expect(counts).toMatchObject({ manifest: manifests[0], token: 'out/ready.tok' });
    const [pega, adobe, own] = await Promise.all(manifests.map(async (key) => (await fixture.read(key)).toString()));
    const [file] = counts.files;
    expect(pega).toContain(`<size>${file?.bytes}</size>\n      <recordCount>500</recordCount>`);
    expect(JSON.parse(adobe ?? '')).toMatchObject({
      exportResults: [{ sinkPath: 'out', name: file?.name.slice('out/'.length), size: file?.bytes }],
    });
    expect(JSON.parse(own ?? '')).toMatchObject({ rows: 500, files: [{ sha256: file?.sha256 }] });
    expect(await fixture.read('out/ready.tok')).toHaveLength(0);
    const before = await fixture.objects();
    expect(await fixture.run(goalId, goal)).toMatchObject({
      outcome: 'failed',
      error: { code: 'object-exists', at: 'tokenFile' },
    });
    expect(await fixture.objects()).toEqual(before);
  });

  it('says what is wrong with a goal that does not fit the workspace', async () => {
    const unknown = fixture.goal({ columns: [{ header: 'Shoe', source: { kind: 'property', property: 'shoeSize' } }] });
    expect(await fixture.run(randomUUID(), unknown)).toMatchObject({
      outcome: 'failed',
      error: { code: 'column-unknown', message: 'column "Shoe": the workspace has no property "shoeSize"' },
    });
    const nowhere = fixture.goal({ target: { bucket: 'nowhere', directory: '' } });
    expect(await fixture.run(randomUUID(), nowhere)).toMatchObject({
      outcome: 'failed',
      error: { code: 'bucket-not-found' },
    });
    const secret = fixture.goal({ pgp: { encrypt: true } });
    expect(await fixture.run(randomUUID(), secret)).toMatchObject({
      outcome: 'failed',
      error: { code: 'pgp-recipients-missing' },
    });
  });

  it('leaves no upload open and no name reserved behind any of these', async () => {
    expect(await fixture.openUploads()).toEqual([]);
    const { rows } = await fixture.database.query(sql`SELECT * FROM exporter.reserved_key`);
    expect(rows).toEqual([]);
  });
});
