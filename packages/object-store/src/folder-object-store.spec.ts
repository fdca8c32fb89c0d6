import { appendFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { createFolderObjectStore } from './folder-object-store.js';
import { collect, objectStoreContract, toArray } from './object-store.contract.js';

const roots: string[] = [];

async function newRoot(): Promise<string> {
  const root = await mkdtemp(path.join(tmpdir(), 'millrace-folder-store-'));
  roots.push(root);
  await mkdir(path.join(root, 'bucket'));
  return root;
}

afterAll(async () => {
  for (const root of roots) await rm(root, { recursive: true });
});

objectStoreContract('the folder driver', async () => ({
  store: createFolderObjectStore({ root: await newRoot() }),
  bucket: 'bucket',
  partBytes: 64 * 1024,
}));

describe('the folder driver', () => {
  it('serves files that were put there by hand', async () => {
    const root = await newRoot();
    await mkdir(path.join(root, 'bucket/in'));
    await writeFile(path.join(root, 'bucket/in/customers.csv'), 'id\n1\n');
    const store = createFolderObjectStore({ root });
    const [found] = await toArray(store.list('bucket', 'in/'));
    expect(found).toMatchObject({ key: 'in/customers.csv', size: 5 });
    expect(
      (await collect(await store.read('bucket', 'in/customers.csv', { ifMatch: found?.etag ?? '' }))).toString(),
    ).toBe('id\n1\n');
  });

  it('fails a read whose file grows meanwhile', async () => {
    const root = await newRoot();
    const file = path.join(root, 'bucket/growing.csv');
    await writeFile(file, 'a'.repeat(2_000_000));
    const stream = await createFolderObjectStore({ root }).read('bucket', 'growing.csv');
    await appendFile(file, 'more');
    await expect(collect(stream)).rejects.toMatchObject({ code: 'object-changed' });
  });

  it.each(['../outside.csv', 'a/../../outside.csv', '/etc/passwd', 'a//b.csv', 'a/./b.csv', 'nul\0.csv', ''])(
    'refuses the key %j',
    async (key) => {
      const store = createFolderObjectStore({ root: await newRoot() });
      await expect(store.startUpload('bucket', key)).rejects.toMatchObject({ code: 'key-unsupported' });
      await expect(store.read('bucket', key)).rejects.toMatchObject({ code: 'key-unsupported' });
    },
  );

  it.each(['..', '../x', '.millrace-uploads', 'Upper', 'a/b'])('refuses the bucket name %j', async (bucket) => {
    const store = createFolderObjectStore({ root: await newRoot() });
    await expect(toArray(store.list(bucket, ''))).rejects.toMatchObject({ code: 'bucket-not-found' });
  });

  it('says when a key is both a file and a folder', async () => {
    const store = createFolderObjectStore({ root: await newRoot() });
    const put = async (key: string): Promise<void> => {
      const upload = await store.startUpload('bucket', key);
      await upload.write(Readable.from([Buffer.from('x')]));
      await upload.complete();
    };
    await put('a');
    await expect(put('a/b')).rejects.toMatchObject({
      code: 'key-unsupported',
    });
    await put('c/d');
    await expect(put('c')).rejects.toMatchObject({
      code: 'key-unsupported',
    });
  });

  it('does not follow symbolic links out of the bucket when listing', async () => {
    const root = await newRoot();
    await symlink('/etc', path.join(root, 'bucket/link'));
    expect(await toArray(createFolderObjectStore({ root }).list('bucket', ''))).toEqual([]);
  });
});
