import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { encryptPgp, sealEndpoint } from '@millrace/crypto';
import { importPreview, importPreviewRequest, type ImportPreview, type PgpKeys } from '@millrace/domain';
import { createGroupType } from '@millrace/profile-store';
import { PreviewSource } from '../src/preview-source/preview-source.js';
import { ImportHarness } from './import-harness.js';

const key = (name: string): string => readFileSync(new URL(`./fixtures/${name}.asc`, import.meta.url), 'utf8');
const receiver: PgpKeys = {
  privateKey: key('receiver.private'),
  passphrase: 'correct horse',
  recipients: [],
  verifiers: [],
};

let harness: ImportHarness;
let previews: PreviewSource;
beforeAll(async () => {
  harness = await ImportHarness.create('preview', [{ name: 'first_name' }, { name: 'points', type: 'decimal' }]);
  const { database, sealingKey } = harness;
  previews = new PreviewSource({ database, sealingKey, openStore: () => harness.openStore() });
});
afterAll(() => harness.close());

let directory = 0;
async function preview(files: Record<string, string | Uint8Array>, more: object = {}, pgp?: PgpKeys) {
  directory += 1;
  for (const [name, content] of Object.entries(files))
    await harness.client.put(harness.bucket, `p${directory}/${name}`, content);
  const { workspaceId, connectionId } = harness;
  const source = { bucket: harness.bucket, directory: `p${directory}`, pattern: { kind: 'wildcard', pattern: 'c*' } };
  const result = await previews.preview(
    {
      workspaceId,
      connectionId,
      endpoint: sealEndpoint(harness.endpoint(pgp), harness.sealingKey, { workspaceId, connectionId }),
      request: importPreviewRequest.parse({ source, ...more }),
    },
    AbortSignal.timeout(10_000),
  );
  return importPreview.parse(result);
}
const root = ({ files }: ImportPreview) => files[0]!;

it('lists the files and shows the first rows of the first one, with options and mappings proposed', async () => {
  const csv = 'Customer ID;First Name;Points;Joined;City\nA1;Ann;1,5;2024-01-31;Ghent\nA2;Bob;2,25;2024-02-01;NULL\n';
  const result = await preview({ 'c2.csv': csv, 'c10.csv': csv, 'other.csv': 'x' }, { rows: 1 });
  expect(result).toMatchObject({ setsFound: 2, objectsListed: 3, listedAll: true });
  expect(result.sets.map((set) => set.root.key)).toEqual([`p${directory}/c2.csv`, `p${directory}/c10.csv`]);
  const file = root(result);
  expect(file).toMatchObject({
    whole: true,
    wrapping: [],
    csv: { delimiter: ';', decimalSeparator: ',', nullWords: ['NULL'] },
    rows: [{ line: 2, fields: ['A1', 'Ann', '1,5', '2024-01-31', 'Ghent'] }],
    dateFormats: ['YYYY-MM-DD'],
  });
  expect(file.columns.map(({ mapping }) => mapping)).toEqual([
    { kind: 'identifier', namespace: 'customerId' },
    {
      kind: 'property',
      property: 'first_name',
      rule: 'set',
      exists: true,
      warning: expect.any(String),
      type: 'string',
    },
    { kind: 'property', property: 'points', rule: 'set', exists: true, warning: expect.any(String), type: 'decimal' },
    { kind: 'property', property: 'Joined', rule: 'set', exists: false, type: 'date' },
    { kind: 'property', property: 'City', rule: 'set', exists: false, type: 'string' },
  ]);
});

it('never overrules a given option, and says what it would have proposed', async () => {
  const given = root(await preview({ 'c.csv': 'id;name\n1;Ann\n' }, { csv: { delimiter: ',', header: false } }));
  expect(given.csv).toMatchObject({ delimiter: ',', header: false });
  expect(given.rows).toEqual([
    { line: 1, fields: ['id;name'] },
    { line: 2, fields: ['1;Ann'] },
  ]);
  expect(given.proposals).toContainEqual({ option: 'delimiter', value: ';', given: ',', used: false });
  expect(given.proposals).toContainEqual({ option: 'quote', value: '"', used: true });
  const refused = root(await preview({ 'c.csv': 'sep=;\nid;name\n1;Ann\n' }, { csv: { delimiter: ',' } }));
  expect(refused).toMatchObject({ problem: { code: 'delimiter-differs' }, rows: [] });
});

it('takes a whole goal for its request', async () => {
  const goal = harness.goal();
  const result = await preview({ 'c.csv': 'id,name\n1,Ann\n' }, { csv: goal.csv, matching: goal.matching, name: 'n' });
  expect(root(result).rows).toEqual([{ line: 2, fields: ['1', 'Ann'] }]);
});

it('shows linked files and proposes what joins them', async () => {
  const linked = [{ alias: 'orders', pattern: { kind: 'wildcard', pattern: 'o*' } }];
  const result = await preview({ c_1: 'id,email\n1,a@b.c\n', o_1: 'order,ID,total\n7,1,9.5\n' }, { linked });
  expect(result.sets[0]!.linked).toMatchObject([{ alias: 'orders', key: `p${directory}/o_1` }]);
  expect(result.files[1]).toMatchObject({
    alias: 'orders',
    link: { parent: 'root', column: 'ID', parentColumn: 'id', proposed: true },
    rows: [{ line: 2, fields: ['7', '1', '9.5'] }],
  });
});

it('reads only the head of a large file', async () => {
  const rows = Array.from({ length: 200_000 }, (_, line) => `${line},Somebody with a long name ${line}\n`).join('');
  const file = root(await preview({ 'c.csv': `id,name\n${rows}` }));
  expect(file.whole).toBe(false);
  expect(file.bytesRead).toBeLessThan(3 * 1024 * 1024);
  expect(file.rows).toHaveLength(20);
  const packed = root(await preview({ 'c.csv.gz': gzipSync(`id,name\n${rows}`) }));
  expect(packed).toMatchObject({ wrapping: ['gzip'], whole: false, columns: [{ column: 'id' }, { column: 'name' }] });
});

it('looks into encrypted and compressed files where the key is there', async () => {
  const encrypt = (content: Uint8Array): Promise<Buffer> =>
    buffer(encryptPgp(Readable.from([content], { objectMode: false }), { recipients: [key('receiver.public')] }));
  const rows = Array.from({ length: 100_000 }, (_, line) => `${line},Somebody ${line}\n`).join('');
  const small = await encrypt(gzipSync('id,name\n1,Ann\n'));
  expect(root(await preview({ 'c.csv.gz.pgp': small }, {}, receiver))).toMatchObject({
    wrapping: ['pgp', 'gzip'],
    rows: [{ line: 2, fields: ['1', 'Ann'] }],
  });
  const large = await encrypt(Buffer.from(`id,name\n${rows}`));
  expect(root(await preview({ 'c.csv.pgp': large }, {}, receiver))).toMatchObject({ wrapping: ['pgp'], whole: false });
  const stranger = { ...receiver, privateKey: key('stranger.private') };
  expect(root(await preview({ 'c.csv.pgp': small }, {}))).toMatchObject({ problem: { code: 'pgp-key-missing' } });
  const wrong = root(await preview({ 'c.csv.pgp': small }, {}, stranger));
  expect(wrong.problem?.code).toMatch(/^pgp-/);
});

it('tells cut archives, empty files and bad rows', async () => {
  expect(root(await preview({ 'c.zip': Buffer.from('PK\x03\x04 and more', 'latin1') }))).toMatchObject({
    problem: { code: 'zip-truncated' },
  });
  expect(root(await preview({ 'c.csv': '' }))).toMatchObject({ problem: { code: 'empty-file' } });
  expect(root(await preview({ 'c.csv': 'id,name\n1\n2,Bob\n3,Cid\n' })).rows).toMatchObject([
    { line: 2, problem: { code: 'too-few-fields' } },
    { line: 3 },
    { line: 4 },
  ]);
  const utf16 = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('id\tname\r\n1\tÅsa\r\n', 'utf16le')]);
  expect(root(await preview({ 'c.txt': utf16 })).rows).toEqual([{ line: 2, fields: ['1', 'Åsa'] }]);
});

it('names what is missing', async () => {
  const linked = [{ alias: 'orders', pattern: { kind: 'wildcard', pattern: 'o*' } }];
  await expect(preview({ c_1: 'id\n1\n' }, { linked })).rejects.toMatchObject({ code: 'linked-file-missing' });
  await expect(preview({ c_1: 'id\n1\n' }, { file: 'nowhere' })).rejects.toMatchObject({ code: 'file-not-found' });
  expect(await preview({})).toMatchObject({ setsFound: 0, files: [] });
});

it('proposes the properties of a group type where the goal imports groups', async () => {
  await createGroupType(harness.database, harness.workspaceId, {
    code: 'company',
    properties: [{ name: 'revenue', type: 'decimal', list: false }],
  });
  const csv = 'customerId,Revenue,points\nacme,1.5,1\n';
  const { columns } = root(await preview({ 'c.csv': csv }, { groupType: 'company' }));
  expect(columns.map(({ mapping }) => mapping)).toMatchObject([
    { kind: 'property', exists: false },
    { kind: 'property', property: 'revenue', exists: true },
    { kind: 'property', exists: false },
  ]);
});
