import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { readExports, type BucketReader } from './read-back.js';

function bucketOf(objects: Readonly<Record<string, Buffer>>): BucketReader {
  const find = (key: string): Buffer => objects[key] ?? Buffer.alloc(0);
  return {
    list: async () => Promise.resolve(Object.entries(objects).map(([key, { length }]) => ({ key, bytes: length }))),
    get: async (_bucket, key) => Promise.resolve(find(key)),
    open: async (_bucket, key) => Promise.resolve(new Blob([new Uint8Array(find(key))]).stream()),
  };
}

function manifestOf(name: string, rows: number, content: Buffer): Buffer {
  const sha256 = createHash('sha256').update(content).digest('hex');
  return Buffer.from(JSON.stringify({ files: [{ name, rows, sha256 }] }));
}

const content = gzipSync('name,note\r\n"a","two\nlines"\r\n"say ""x""\n",b\r\nlast,"1"');

describe('readExports', () => {
  it('counts the rows of an object, quoted line breaks and a missing last line break included', async () => {
    const bucket = bucketOf({ 'exports/a.csv.gz': content, 'exports/a.json': manifestOf('a.csv.gz', 3, content) });
    expect(await readExports(bucket, 'b')).toMatchObject([{ key: 'exports/a.csv.gz', rows: 3 }]);
  });

  it('throws when an object differs from its manifest', async () => {
    const bucket = bucketOf({ 'exports/a.csv.gz': content, 'exports/a.json': manifestOf('a.csv.gz', 4, content) });
    await expect(readExports(bucket, 'b')).rejects.toThrow('3 rows where 4 are promised');
  });

  it('throws when an object stands in no manifest, or a manifest names what is not there', async () => {
    await expect(readExports(bucketOf({ 'exports/a.csv.gz': content }), 'b')).rejects.toThrow('stands in no manifest');
    const lonely = bucketOf({ 'exports/a.json': manifestOf('a.csv.gz', 3, content) });
    await expect(readExports(lonely, 'b')).rejects.toThrow('the manifest names a.csv.gz');
  });
});
