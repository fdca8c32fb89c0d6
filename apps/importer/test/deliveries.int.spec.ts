import { createHash, randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { ImportHarness } from './import-harness.js';

let harness: ImportHarness;

beforeAll(async () => {
  harness = await ImportHarness.create('deliveries', [{ name: 'name' }]);
  harness.startWorker();
});
afterAll(() => harness.close());

let directory = 0;
function place(source: Record<string, unknown>, changes: Record<string, unknown> = {}) {
  directory += 1;
  const pattern = { kind: 'wildcard', pattern: '*.csv*' };
  const goal = harness.goal({
    source: { bucket: harness.bucket, directory: `d${directory}`, pattern, ...source },
    mappings: [{ column: 'name', property: 'name' }],
    ...changes,
  });
  const put = (name: string, content: string | Uint8Array): Promise<void> =>
    harness.client.put(harness.bucket, `${goal.source.directory}/${name}`, content);
  return { goal, put };
}

interface Listed {
  readonly name: string;
  readonly rows: number;
  readonly content: string | Uint8Array;
}

function manifest(files: readonly Listed[], changes: Record<string, unknown> = {}): string {
  return JSON.stringify({
    version: 1,
    runId: randomUUID(),
    goalId: randomUUID(),
    mode: 'full',
    plannedAt: new Date().toISOString(),
    rows: files.reduce((sum, { rows }) => sum + rows, 0),
    files: files.map(({ name, rows, content }) => ({
      name,
      rows,
      bytes: Buffer.byteLength(content),
      sha256: createHash('sha256').update(content).digest('hex'),
      ...changes,
    })),
  });
}

const adobe = (sinkPath: string, name: string, size: number): string =>
  JSON.stringify({
    flowRunId: 'run',
    scheduledTime: '2026-01-02T03:04:05Z',
    exportResults: [{ sinkPath, name, size }],
  });

const pega = (name: string, size: number, rows: number, total = rows): string =>
  `<?xml version="1.0"?>\n<manifest><processType>DDS</processType><totalRecordCount>${total}</totalRecordCount>
  <files><file><name>${name.replace('&', '&amp;')}</name><size>${size}</size><recordCount>${rows}</recordCount></file></files></manifest>`;

describe('a token file', () => {
  it('is waited for, and says so', async () => {
    const { goal, put } = place({ tokenFile: 'all.done-token' });
    await put('a.csv', 'id,name\ntoken-1,Ann\n');
    const early = await harness.run(goal);
    expect(early).toMatchObject({ outcome: 'succeeded', counts: { files: 0 } });
    expect(early.notes).toEqual(['the token file "all.done-token" is not there yet: nothing was imported']);
    await put('all.done-token', '');
    expect((await harness.run(goal)).counts).toMatchObject({ files: 1, created: 1 });
  });
});

describe('a manifest', () => {
  const pattern = { kind: 'wildcard', pattern: '*.manifest.json' };

  it('says which files are taken, packed ones included', async () => {
    const { goal, put } = place({ manifest: pattern });
    const plain = 'id,name\nm-1,Ann\nm-2,Bob\n';
    const packed = gzipSync('id,name\nm-3,Cid\n');
    await put('a.csv', plain);
    await put('b.csv.gz', packed);
    await put('unlisted.csv', 'id,name\nm-4,Dee\n');
    const listed = [
      { name: 'a.csv', rows: 2, content: plain },
      { name: 'b.csv.gz', rows: 1, content: packed },
    ];
    await put('1.manifest.json', manifest(listed));
    expect(await harness.run(goal)).toMatchObject({ outcome: 'succeeded', counts: { files: 2, created: 3 } });
    expect((await harness.run(goal)).counts).toMatchObject({ files: 0, filesSkipped: 2 });
  });

  it.each([
    ['rows', { rows: 2 }, /has rows 1, and "1\.manifest\.json" says 2/],
    ['bytes', { bytes: 9 }, /has bytes \d+, and "1\.manifest\.json" says 9/],
    ['SHA-256', { sha256: '0'.repeat(64) }, /has SHA-256 [0-9a-f]{64}, and/],
  ])('whose %s differ fails the file before anything is applied', async (_, changes, message) => {
    const { goal, put } = place({ manifest: pattern });
    const content = 'id,name\nwrong-1,Ann\n';
    await put('a.csv', content);
    await put('1.manifest.json', manifest([{ name: 'a.csv', rows: 1, content }], changes));
    const before = await harness.statistics();
    const run = await harness.run(goal);
    expect(run).toMatchObject({ outcome: 'failed', error: { code: 'manifest-mismatch' }, counts: { created: 0 } });
    expect(run.error?.message).toMatch(message);
    expect(await harness.statistics()).toEqual(before);
  });

  it('that lists a missing file fails the run, unless the file was imported and put away', async () => {
    const { goal, put } = place({ manifest: pattern }, { afterImport: 'delete' });
    const content = 'id,name\naway-1,Ann\n';
    await put('1.manifest.json', manifest([{ name: 'a.csv', rows: 1, content }]));
    expect(await harness.run(goal)).toMatchObject({ outcome: 'failed', error: { code: 'manifest-file-missing' } });
    await put('a.csv', content);
    expect((await harness.run(goal)).counts).toMatchObject({ files: 1, created: 1 });
    expect(await harness.run(goal)).toMatchObject({ outcome: 'succeeded', counts: { files: 0 } });
  });

  it.each([
    ['Adobe', 'adobe', (name: string, bytes: number) => adobe(`${harness.bucket}/somewhere`, name, bytes)],
    ['Pega', 'pega', (name: string, bytes: number) => pega(name, bytes, 2)],
  ])('in the dialect of %s says which files are taken, and what must be in them', async (_, id, write) => {
    const { goal, put } = place({ manifest: { kind: 'wildcard', pattern: 'manifest*' } });
    const content = `id,name\n${id}-1,Ann\n${id}-2,Bob\n`;
    await put('R&D.csv', content);
    await put('unlisted.csv', `id,name\n${id}-3,Dee\n`);
    await put('manifest-1', write('R&D.csv', Buffer.byteLength(content) + 1));
    const refused = await harness.run(goal);
    expect(refused).toMatchObject({ outcome: 'failed', error: { code: 'manifest-mismatch' }, counts: { created: 0 } });
    expect(refused.error?.message).toContain('has bytes');
    await put('manifest-1', write('R&D.csv', Buffer.byteLength(content)));
    expect(await harness.run(goal)).toMatchObject({ outcome: 'succeeded', counts: { files: 1, created: 2 } });
  });

  it('of Pega counts rows, of each file and of all', async () => {
    const { goal, put } = place({ manifest: { kind: 'exact', name: 'manifest.xml' } });
    const content = 'id,name\npega-rows,Ann\n';
    await put('a.csv', content);
    await put('manifest.xml', pega('a.csv', Buffer.byteLength(content), 2));
    const wrong = await harness.run(goal);
    expect(wrong.error).toMatchObject({ code: 'manifest-mismatch', message: expect.stringContaining('has rows 1') });
    await put('manifest.xml', pega('a.csv', Buffer.byteLength(content), 1, 9));
    expect((await harness.run(goal)).error).toMatchObject({
      code: 'bad-manifest',
      message: expect.stringContaining('its files have 1 rows in all, and it says 9'),
    });
  });

  it('in another form is refused', async () => {
    const { goal, put } = place({ manifest: pattern });
    await put('1.manifest.json', '{"flowRunId": 1}');
    expect(await harness.run(goal)).toMatchObject({ outcome: 'failed', error: { code: 'bad-manifest' } });
  });

  it('that is not there is waited for', async () => {
    const { goal, put } = place({ manifest: pattern });
    await put('a.csv', 'id,name\nnone-1,Ann\n');
    const run = await harness.run(goal);
    expect(run).toMatchObject({ outcome: 'succeeded', counts: { files: 0 } });
    expect(run.notes).toEqual(['there is no manifest "*.manifest.json": nothing was imported']);
  });
});
