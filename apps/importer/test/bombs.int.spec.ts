import { constants, deflateRawSync, gzipSync, crc32 } from 'node:zlib';
import { ImportHarness } from './import-harness.js';

const maxPlainBytes = 4_000_000;

let harness: ImportHarness;

beforeAll(async () => {
  harness = await ImportHarness.create('bombs', [{ name: 'name' }]);
  harness.startWorker({ settings: { maxPlainBytes } });
});
afterAll(() => harness.close());

const goalFor = (directory: string, pattern: object = { kind: 'every' }, changes: Record<string, unknown> = {}) =>
  harness.goal({
    source: { bucket: harness.bucket, directory, pattern },
    mappings: [{ column: 'name', property: 'name' }],
    ...changes,
  });

/** A zip of deflated entries that claim to be as small as is said. */
function zip(
  entries: readonly { readonly name: string; readonly content: Buffer; readonly claims?: number }[],
): Buffer {
  const parts = entries.flatMap(({ name, content, claims = content.length }) => {
    const packed = deflateRawSync(content);
    const head = Buffer.alloc(30);
    head.writeUInt32LE(0x04034b50);
    head.writeUInt16LE(8, 8);
    head.writeUInt32LE(crc32(content), 14);
    head.writeUInt32LE(packed.length, 18);
    head.writeUInt32LE(claims, 22);
    head.writeUInt16LE(name.length, 26);
    return [head, Buffer.from(name), packed];
  });
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50);
  return Buffer.concat([...parts, end]);
}

const header = Buffer.from('id,name\n');
const small = Buffer.concat([header, Buffer.from('small-1,Ann\n')]);
const large = Buffer.concat([header, Buffer.alloc(100_000_000, 'x,y\n')]);

describe('a small file that unfolds to a large one', () => {
  const bombs: [string, () => Buffer, string][] = [
    ['gzip', () => gzipSync(large), 'gzip-too-large'],
    [
      'gzip in many members',
      () =>
        Buffer.concat([gzipSync(header), ...Array.from({ length: 20 }, () => gzipSync(large.subarray(8, 1_000_008)))]),
      'gzip-too-large',
    ],
    ['zip', () => zip([{ name: 'people.csv', content: large }]), 'zip-too-large'],
    ['zip that claims to be small', () => zip([{ name: 'people.csv', content: large, claims: 100 }]), 'zip-too-large'],
    [
      'zip with the bulk in what does not count',
      () =>
        zip([
          { name: '__MACOSX/x', content: large },
          { name: 'people.csv', content: small },
        ]),
      'zip-too-large',
    ],
    ['gzip without any line', () => gzipSync(Buffer.alloc(100_000_000)), 'gzip-too-large'],
  ];

  it.each(bombs)('stops at the limit, and nothing of it is applied: %s', async (name, make, code) => {
    const content = make();
    expect(content.length).toBeLessThan(maxPlainBytes / 10);
    const directory = name.replaceAll(' ', '-');
    await harness.client.put(harness.bucket, `${directory}/people.csv`, content);
    const before = process.memoryUsage().arrayBuffers;
    const run = await harness.run(goalFor(directory));
    expect(run).toMatchObject({ outcome: 'failed', error: { code } });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024 * 1024);
    expect(await harness.profiles()).toEqual({});
    expect(await harness.tables()).toEqual([]);
  });

  it('passes just below the limit', async () => {
    const rows = `below-1,${'x'.repeat(900_000)}\n`.repeat(4);
    const file = Buffer.from(`id,name\n${rows}`);
    expect(file.length).toBeLessThan(maxPlainBytes);
    await harness.client.put(harness.bucket, 'below/people.csv.gz', gzipSync(file, { level: constants.Z_BEST_SPEED }));
    expect(await harness.run(goalFor('below'))).toMatchObject({ outcome: 'succeeded', counts: { rowsRead: 4 } });
  });
});

describe('a regular expression that takes others exponential time', () => {
  const evil = `${'a'.repeat(100)}!`;
  const patterns = ['(a+)+', '(a|aa)+', '(a*)*b', '(.*)*x', '([a-z]+)*\\d', '(a?){100}a{100}'];

  it.each(patterns)('takes linear time in names of files: %s', async (pattern) => {
    const directory = `regex-${patterns.indexOf(pattern)}`;
    await harness.client.put(harness.bucket, `${directory}/${evil}`, 'id,name\nnobody,x\n');
    await harness.client.put(harness.bucket, `${directory}/${'a'.repeat(200)}`, 'id,name\n');
    const before = process.cpuUsage();
    const run = await harness.run(goalFor(directory, { kind: 'regex', pattern }));
    expect(run.outcome).toBe('succeeded');
    expect(process.cpuUsage(before).user / 1e6).toBeLessThan(20);
  });

  it.each(patterns)('takes linear time in processors: %s', async (pattern) => {
    const directory = `processor-${patterns.indexOf(pattern)}`;
    const rows = Array.from({ length: 200 }, (_, row) => `${directory}-${row},${'a'.repeat(300)}!\n`);
    await harness.client.put(harness.bucket, `${directory}/people.csv`, `id,name\n${rows.join('')}`);
    const processors = [
      { kind: 'filter', column: 'name', action: 'keep', test: { op: 'matches', pattern: `^${pattern}$` } },
    ];
    const before = process.cpuUsage();
    const run = await harness.run(goalFor(directory, { kind: 'every' }, { processors }));
    expect(run).toMatchObject({ outcome: 'succeeded', counts: { rowsRead: 200, skipped: { filtered: 200 } } });
    expect(process.cpuUsage(before).user / 1e6).toBeLessThan(60);
  });

  it.each([
    ['look-around', '(?=a)b'],
    ['a back-reference', '(a)\\1'],
    ['a program too large', '((a{1,1000}){1,1000}){1,1000}'],
    ['nested repeats', '((((a{1,100}){1,100}){1,100}){1,100}){1,100}'],
  ])('is refused before anything is read: %s', async (_, pattern) => {
    const run = await harness.run(goalFor('nowhere', { kind: 'regex', pattern }));
    expect(run).toMatchObject({ outcome: 'failed', error: { code: 'bad-pattern' } });
  });
});

describe('a header of 150,000 columns', () => {
  const names = Array.from({ length: 150_000 }, (_, column) => `_${column.toString(36)}`);
  const header = `id,name,${names.join(',')}`;
  const row = (id: string): string => `${id},Ann${','.repeat(names.length)}`;

  it.each([
    ['mapped by name', {}],
    ['mapped as a whole', { mapAll: { rule: 'set' } }],
    ['with a processor', { processors: [{ kind: 'trim', column: 'name' }] }],
  ])('is read like any other: %s', async (way, changes) => {
    const directory = `wide-${way.replaceAll(' ', '-')}`;
    await harness.client.put(
      harness.bucket,
      `${directory}/people.csv`,
      `${header}\n${row(`${directory}-1`)}\n${row(`${directory}-2`)}\nshort\n`,
    );
    const before = process.cpuUsage();
    const run = await harness.run(goalFor(directory, { kind: 'every' }, changes));
    expect(run).toMatchObject({ outcome: 'succeeded', counts: { rowsRead: 3, created: 2, rejected: 1 } });
    expect(process.cpuUsage(before).user / 1e6).toBeLessThan(20);
  });
});
