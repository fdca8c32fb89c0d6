import { createHash, randomBytes } from 'node:crypto';
import { PassThrough, Readable } from 'node:stream';
import { InputError } from '@millrace/domain';
import type { ObjectInfo, ObjectStore } from './object-store.js';

export interface ObjectStoreUnderTest {
  readonly store: ObjectStore;
  /** An empty bucket. */
  readonly bucket: string;
  /** The size from which an upload needs a second part. */
  readonly partBytes: number;
}

/** What every driver keeps to. `setUp` runs once for the suite. */
export function objectStoreContract(driver: string, setUp: () => Promise<ObjectStoreUnderTest>): void {
  describe(`${driver} keeps the contract of an object store`, () => {
    let store: ObjectStore;
    let bucket: string;
    let partBytes: number;
    let folder = '';

    beforeAll(async () => {
      ({ store, bucket, partBytes } = await setUp());
    });
    afterAll(() => store.close());
    beforeEach(() => {
      folder = `t-${randomBytes(4).toString('hex')}/`;
    });

    const write = async (key: string, content: string | Buffer): Promise<ObjectInfo> => {
      const upload = await store.startUpload(bucket, key);
      await upload.write(Readable.from([Buffer.from(content)]));
      await upload.complete();
      return (await store.head(bucket, key)) ?? fail(`${key} is not there`);
    };

    describe('writing', () => {
      it('shows nothing before complete(), and all of it afterwards', async () => {
        const key = `${folder}a.csv`;
        const upload = await store.startUpload(bucket, key);
        await upload.write(Readable.from([Buffer.from('one,'), Buffer.from('two')]));
        expect(await store.head(bucket, key)).toBeUndefined();
        expect(await toArray(store.list(bucket, folder))).toEqual([]);
        await upload.complete();
        expect(await text(store, bucket, key)).toBe('one,two');
      });

      it('keeps the old object until the new one is complete', async () => {
        const key = `${folder}a.csv`;
        await write(key, 'old');
        const upload = await store.startUpload(bucket, key);
        await upload.write(Readable.from([Buffer.from('new')]));
        expect(await text(store, bucket, key)).toBe('old');
        await upload.complete();
        expect(await text(store, bucket, key)).toBe('new');
      });

      it('counts bytes and SHA-256 over many parts and chunks of any size', async () => {
        const key = `${folder}big.bin`;
        const content = randomBytes(partBytes * 3 + 12_345);
        const upload = await store.startUpload(bucket, key, { expectedBytes: content.length });
        const summary = await upload.write(Readable.from(pieces(content, [1, 7, 65_536, partBytes + 3, 100_000])));
        await upload.complete();
        expect(summary.bytes).toBe(content.length);
        expect(summary.sha256).toBe(sha256(content));
        expect(await store.head(bucket, key)).toMatchObject({ size: content.length });
        expect(sha256(await bytes(store, bucket, key))).toBe(summary.sha256);
      });

      it('writes an object of exactly whole parts', async () => {
        const key = `${folder}even.bin`;
        const content = randomBytes(partBytes * 2);
        const upload = await store.startUpload(bucket, key);
        await upload.write(Readable.from([content]));
        await upload.complete();
        expect(sha256(await bytes(store, bucket, key))).toBe(sha256(content));
      });

      it('writes an empty object', async () => {
        const key = `${folder}empty.csv`;
        const upload = await store.startUpload(bucket, key);
        const summary = await upload.write(Readable.from([]));
        await upload.complete();
        expect(summary).toMatchObject({ bytes: 0, sha256: sha256(Buffer.alloc(0)) });
        expect(await text(store, bucket, key)).toBe('');
      });

      it('throws an error of the source as it came, and refuses to complete', async () => {
        const key = `${folder}cut.csv`;
        const source = new PassThrough();
        const upload = await store.startUpload(bucket, key);
        const writing = upload.write(source);
        source.write(randomBytes(partBytes + 10));
        source.destroy(new InputError('gzip-truncated', 'the file ends early'));
        await expect(writing).rejects.toMatchObject({ code: 'gzip-truncated' });
        await expect(upload.complete()).rejects.toThrow('only an upload whose source was read to its end');
        await upload.abort();
        expect(await store.head(bucket, key)).toBeUndefined();
        expect(await toArray(store.listUploads(bucket, folder))).toEqual([]);
      });

      it('takes a source that was closed without an end for an error', async () => {
        const source = new PassThrough();
        const upload = await store.startUpload(bucket, `${folder}cut.csv`);
        const writing = upload.write(source);
        source.write('half of a line');
        source.destroy();
        await expect(writing).rejects.toThrow();
        await expect(upload.complete()).rejects.toThrow();
        await upload.abort();
      });

      it('aborts in the middle of writing, and again without harm', async () => {
        const key = `${folder}aborted.csv`;
        const source = new PassThrough();
        const upload = await store.startUpload(bucket, key);
        const writing = upload.write(source).catch((error: unknown) => error);
        source.write(randomBytes(partBytes * 2));
        await upload.abort();
        await upload.abort();
        expect(await writing).toHaveProperty('message');
        expect(source.destroyed).toBe(true);
        expect(await toArray(store.listUploads(bucket, folder))).toEqual([]);
        expect(await store.head(bucket, key)).toBeUndefined();
      });

      it('completes twice and aborts afterwards without harm', async () => {
        const key = `${folder}a.csv`;
        const upload = await store.startUpload(bucket, key);
        await upload.write(Readable.from([Buffer.from('x')]));
        await upload.complete();
        await upload.complete();
        await upload.abort();
        expect(await text(store, bucket, key)).toBe('x');
      });

      it('completes from a receipt what another process wrote, once or twice', async () => {
        const key = `${folder}a.csv`;
        const content = randomBytes(partBytes + 100);
        const upload = await store.startUpload(bucket, key);
        const { receipt } = await upload.write(Readable.from([content]));
        expect(await store.head(bucket, key)).toBeUndefined();
        await store.completeUpload(bucket, key, upload.uploadId, receipt);
        await store.completeUpload(bucket, key, upload.uploadId, receipt);
        expect(sha256(await bytes(store, bucket, key))).toBe(sha256(content));
        expect(await toArray(store.listUploads(bucket, folder))).toEqual([]);
      });

      it('does not take an older object for the one that was to be completed', async () => {
        const key = `${folder}a.csv`;
        await write(key, 'old!');
        const upload = await store.startUpload(bucket, key);
        const { receipt } = await upload.write(Readable.from([Buffer.from('new!')]));
        await store.abortUpload(bucket, key, upload.uploadId);
        await expect(store.completeUpload(bucket, key, upload.uploadId, receipt)).rejects.toMatchObject({
          name: 'TransientError',
          code: 'upload-lost',
        });
        expect(await text(store, bucket, key)).toBe('old!');
      });

      it('lists open uploads under a prefix, and removes one by its id as a successor would', async () => {
        const upload = await store.startUpload(bucket, `${folder}x/part.csv`);
        const other = await store.startUpload(bucket, `${folder}y/part.csv`);
        await upload.write(Readable.from([Buffer.from('x')]));
        const open = await toArray(store.listUploads(bucket, `${folder}x/`));
        expect(open).toMatchObject([{ key: `${folder}x/part.csv`, uploadId: upload.uploadId }]);
        expect(Date.now() - (open[0]?.startedAt.getTime() ?? 0)).toBeLessThan(60_000);
        await store.abortUpload(bucket, `${folder}x/part.csv`, upload.uploadId);
        await store.abortUpload(bucket, `${folder}x/part.csv`, upload.uploadId);
        expect(await toArray(store.listUploads(bucket, folder))).toMatchObject([{ uploadId: other.uploadId }]);
        await other.abort();
      });
    });

    describe('listing', () => {
      it('finds all objects under a prefix, at any depth, over several pages', async () => {
        const names = ['2.csv', '10.csv', 'a b.csv', 'sub/dir/3.csv', 'sub/4.csv', 'sub.csv', 'z.csv'].map(
          (name) => folder + name,
        );
        for (const name of names) await write(name, name);
        const found = await toArray(store.list(bucket, folder));
        expect(found.map(({ key }) => key)).toEqual(
          names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
        );
        const head = await store.head(bucket, found[0]?.key ?? '');
        expect(found[0]).toMatchObject({ size: head?.size, etag: head?.etag });
        expect(Date.now() - (found[0]?.lastModified.getTime() ?? 0)).toBeLessThan(60_000);
      });

      it('takes a prefix for the beginning of a key, not for a folder', async () => {
        for (const name of ['custom.csv', 'customers.csv', 'other.csv']) await write(folder + name, 'x');
        const found = await toArray(store.list(bucket, `${folder}custom`));
        expect(found.map(({ key }) => key)).toEqual([`${folder}custom.csv`, `${folder}customers.csv`]);
      });

      it('finds nothing under a prefix nobody uses', async () => {
        expect(await toArray(store.list(bucket, `${folder}none/at/all`))).toEqual([]);
      });

      it.each([
        'sp ace & co+plus.csv',
        'ümläut-日本.csv',
        'quo\'te"<x>.csv',
        '100%25.csv',
        'a#b?c=d;e:f@g,h$i!(j).csv',
        '~tilde*star.csv',
      ])('writes, lists, reads, marks and deletes %s', async (name) => {
        const key = folder + name;
        const { etag } = await write(key, name);
        expect((await toArray(store.list(bucket, folder))).map((item) => item.key)).toEqual([key]);
        expect(await text(store, bucket, key)).toBe(name);
        await store.copyDone(bucket, key, etag);
        expect(await text(store, bucket, `${key}.done`)).toBe(name);
        await store.delete(bucket, `${key}.done`);
        expect(await toArray(store.list(bucket, folder))).toEqual([]);
      });
    });

    describe('reading', () => {
      it('reads from an offset', async () => {
        const content = randomBytes(300_000);
        const { etag } = await write(`${folder}a.bin`, content);
        const rest = await collect(await store.read(bucket, `${folder}a.bin`, { offset: 123_456, ifMatch: etag }));
        expect(rest.equals(content.subarray(123_456))).toBe(true);
      });

      it('reads nothing from the end on', async () => {
        await write(`${folder}a.csv`, 'abc');
        expect(await text(store, bucket, `${folder}a.csv`, 3)).toBe('');
        expect(await text(store, bucket, `${folder}a.csv`, 4)).toBe('');
      });

      it('refuses an object that was replaced since it was listed', async () => {
        const { etag } = await write(`${folder}a.csv`, 'first');
        await write(`${folder}a.csv`, 'other');
        await expect(store.read(bucket, `${folder}a.csv`, { ifMatch: etag })).rejects.toMatchObject({
          code: 'object-changed',
        });
      });

      it('may be given up before and in the middle of reading', async () => {
        await write(`${folder}a.bin`, randomBytes(2_000_000));
        (await store.read(bucket, `${folder}a.bin`)).destroy();
        for await (const chunk of await store.read(bucket, `${folder}a.bin`)) {
          expect(chunk.length).toBeGreaterThan(0);
          break;
        }
      });

      it('names the object that does not exist', async () => {
        const reading = store.read(bucket, `${folder}missing.csv`);
        await expect(reading).rejects.toBeInstanceOf(InputError);
        await expect(reading).rejects.toMatchObject({
          code: 'object-not-found',
          message: expect.stringContaining(`${folder}missing.csv`),
        });
        expect(await store.head(bucket, `${folder}missing.csv`)).toBeUndefined();
      });
    });

    describe('marking as done', () => {
      it('renames the object, content unchanged', async () => {
        const { etag } = await write(`${folder}a.csv`, 'content');
        await store.copyDone(bucket, `${folder}a.csv`, etag);
        expect((await toArray(store.list(bucket, folder))).map(({ key }) => key)).toEqual([`${folder}a.csv.done`]);
        expect(await text(store, bucket, `${folder}a.csv.done`)).toBe('content');
      });

      it('does nothing when it was done before', async () => {
        const { etag } = await write(`${folder}a.csv`, 'content');
        await store.copyDone(bucket, `${folder}a.csv`, etag);
        await store.copyDone(bucket, `${folder}a.csv`, etag);
        expect(await text(store, bucket, `${folder}a.csv.done`)).toBe('content');
      });

      it('finishes when only the copy had been made', async () => {
        const { etag } = await write(`${folder}a.csv`, 'content');
        await write(`${folder}a.csv.done`, 'content');
        await store.copyDone(bucket, `${folder}a.csv`, etag);
        expect((await toArray(store.list(bucket, folder))).map(({ key }) => key)).toEqual([`${folder}a.csv.done`]);
      });

      it('leaves an object alone that is another one by now', async () => {
        const { etag } = await write(`${folder}a.csv`, 'content');
        await write(`${folder}a.csv`, 'changed');
        await expect(store.copyDone(bucket, `${folder}a.csv`, etag)).rejects.toMatchObject({ code: 'object-changed' });
        expect((await toArray(store.list(bucket, folder))).map(({ key }) => key)).toEqual([`${folder}a.csv`]);
      });

      it('names an object that was never there', async () => {
        await expect(store.copyDone(bucket, `${folder}a.csv`, 'x')).rejects.toMatchObject({ code: 'object-not-found' });
      });
    });

    it('deletes, also what is not there', async () => {
      await write(`${folder}a.csv`, 'x');
      await store.delete(bucket, `${folder}a.csv`);
      await store.delete(bucket, `${folder}a.csv`);
      expect(await store.head(bucket, `${folder}a.csv`)).toBeUndefined();
    });

    it.each([
      ['list', async () => toArray(store.list('no-such-bucket', ''))],
      ['read', async () => store.read('no-such-bucket', 'a.csv')],
      ['startUpload', async () => store.startUpload('no-such-bucket', 'a.csv')],
      ['delete', async () => store.delete('no-such-bucket', 'a.csv')],
      ['check', async () => store.check('no-such-bucket', 'import')],
    ] satisfies [string, () => Promise<unknown>][])('names the missing bucket: %s', async (_method, call) => {
      await expect(call()).rejects.toMatchObject({
        code: 'bucket-not-found',
        message: expect.stringContaining('"no-such-bucket"'),
      });
    });

    it.each(['import', 'export'] as const)(
      'reports the permissions an %s needs, and leaves nothing behind',
      async (needs) => {
        const report = await store.check(bucket, needs, folder);
        expect(report).toMatchObject({ resource: bucket, missing: [] });
        expect(report.findings.length).toBeGreaterThan(0);
        expect(await toArray(store.list(bucket, folder))).toEqual([]);
        expect(await toArray(store.listUploads(bucket, folder))).toEqual([]);
      },
    );
  });
}

export async function toArray<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export async function collect(stream: Readable): Promise<Buffer> {
  return Buffer.concat(await toArray<Buffer>(stream));
}

export function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

async function bytes(store: ObjectStore, bucket: string, key: string, offset = 0): Promise<Buffer> {
  return await collect(await store.read(bucket, key, { offset }));
}

async function text(store: ObjectStore, bucket: string, key: string, offset = 0): Promise<string> {
  return (await bytes(store, bucket, key, offset)).toString();
}

/** The content cut into pieces of these sizes, over and over. */
function* pieces(content: Buffer, sizes: readonly number[]): Generator<Buffer> {
  for (let at = 0, turn = 0; at < content.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    yield content.subarray(at, at + size);
    at += size;
  }
}

function fail(message: string): never {
  throw new Error(message);
}
