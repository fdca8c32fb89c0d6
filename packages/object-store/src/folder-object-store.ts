import { constants } from 'node:fs';
import { access, link, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { types } from 'node:util';
import { InputError, reportPermissions, type PermissionReport } from '@millrace/domain';
import { changed, etagOf, openFile } from './folder-body.js';
import { folderError } from './folder-errors.js';
import { bucketPath, deepestFolder, objectPath, uploadsPath } from './folder-paths.js';
import {
  abortFolderUpload,
  completeFolderUpload,
  listFolderUploads,
  startFolderUpload,
  type FolderUploadPlace,
} from './folder-upload.js';
import { doneSuffix, type ObjectInfo, type ObjectStore, type PermissionNeeds, type Upload } from './object-store.js';

export interface FolderObjectStoreOptions {
  /** Each folder directly under it is a bucket; a key is the path of a file in there. */
  readonly root: string;
}

/** Buckets on the local disk, for trying things out and for exchange over a mounted share. */
export function createFolderObjectStore({ root }: FolderObjectStoreOptions): ObjectStore {
  return {
    list: (bucket, prefix) => listObjects(root, bucket, prefix),
    head: async (bucket, key) => reworded(root, bucket, key, async () => headFile(objectPath(root, bucket, key), key)),
    read: async (bucket, key, options = {}) =>
      reworded(root, bucket, key, async () => openFile(objectPath(root, bucket, key), `${bucket}/${key}`, options)),
    startUpload: async (bucket, key) =>
      reworded(root, bucket, key, async () => {
        await access(bucketPath(root, bucket));
        return await openUpload(root, bucket, key);
      }),
    completeUpload: async (bucket, key, uploadId, receipt) =>
      reworded(root, bucket, key, async () => completeFolderUpload(placeOf(root, bucket, key), uploadId, receipt)),
    listUploads: (bucket, prefix) => listFolderUploads(uploadsPath(root, bucket), prefix),
    abortUpload: async (bucket, _key, uploadId) => abortFolderUpload(uploadsPath(root, bucket), uploadId),
    copyDone: async (bucket, key, ifMatch) =>
      reworded(root, bucket, key, async () => moveToDone(objectPath(root, bucket, key), `${bucket}/${key}`, ifMatch)),
    delete: async (bucket, key) =>
      reworded(root, bucket, key, async () => {
        await access(bucketPath(root, bucket));
        await rm(objectPath(root, bucket, key), { force: true });
      }),
    check: async (bucket, needs) => checkFolder(root, bucket, needs),
    close: () => {},
  };
}

async function reworded<T>(
  root: string,
  bucket: string,
  key: string | undefined,
  action: () => Promise<T>,
): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw await folderError(error, root, bucket, key);
  }
}

function placeOf(root: string, bucket: string, key: string): FolderUploadPlace {
  return { uploads: uploadsPath(root, bucket), key, target: objectPath(root, bucket, key) };
}

async function openUpload(root: string, bucket: string, key: string): Promise<Upload> {
  return await startFolderUpload(placeOf(root, bucket, key), async (action) => reworded(root, bucket, key, action));
}

async function* listObjects(root: string, bucket: string, prefix: string): AsyncGenerator<ObjectInfo> {
  const base = bucketPath(root, bucket);
  const start = deepestFolder(prefix);
  // Whole at once: a folder is small beside a bucket, and keys have to be sorted.
  const keys = await reworded(root, bucket, undefined, async () => {
    await access(base);
    const entries = await readdir(path.join(base, start), { recursive: true, withFileTypes: true }).catch(
      (error: unknown) => {
        if (isMissing(error)) return [];
        throw error;
      },
    );
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(base, path.join(entry.parentPath, entry.name)).split(path.sep).join('/'))
      .filter((key) => key.startsWith(prefix))
      .toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  });
  for (const key of keys) {
    const info = await headFile(path.join(base, ...key.split('/')), key);
    if (info !== undefined) yield info;
  }
}

async function headFile(file: string, key: string): Promise<ObjectInfo | undefined> {
  const stats = await stat(file, { bigint: true }).catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  if (stats === undefined || !stats.isFile()) return undefined;
  return { key, size: Number(stats.size), etag: etagOf(stats), lastModified: stats.mtime };
}

/** A hard link, then the removal of the old name: repeatable after a crash between the two. */
async function moveToDone(file: string, name: string, ifMatch: string): Promise<void> {
  const target = file + doneSuffix;
  const found = await headFile(file, name);
  if (found === undefined) {
    if ((await headFile(target, name)) !== undefined) return;
    throw new InputError('object-not-found', `${name} does not exist`, { at: name });
  }
  if (found.etag !== ifMatch) throw changed(name);
  await rm(target, { force: true });
  await link(file, target);
  if ((await headFile(target, name))?.etag !== ifMatch) {
    await rm(target, { force: true });
    throw changed(name);
  }
  await rm(file);
}

async function checkFolder(root: string, bucket: string, needs: PermissionNeeds): Promise<PermissionReport> {
  const folder = bucketPath(root, bucket);
  await reworded(root, bucket, undefined, async () => access(folder));
  const may = async (mode: number) =>
    access(folder, mode).then(
      () => true,
      () => false,
    );
  const finding = (permission: string, granted: boolean, required: boolean) =>
    ({ permission, required, status: granted ? 'granted' : 'missing', probe: 'asking the file system' }) as const;
  return reportPermissions(bucket, [
    finding('read', await may(constants.R_OK | constants.X_OK), true),
    finding('write', await may(constants.W_OK), needs === 'export'),
  ]);
}

function isMissing(error: unknown): boolean {
  return types.isNativeError(error) && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}
