import { access } from 'node:fs/promises';
import { types } from 'node:util';
import { InputError, TransientError } from '@millrace/domain';
import { bucketPath } from './folder-paths.js';

/** Says what a file system error means; other errors pass as they are. */
export async function folderError(
  error: unknown,
  root: string,
  bucket: string,
  key: string | undefined,
): Promise<unknown> {
  if (
    !types.isNativeError(error) ||
    !('code' in error) ||
    error instanceof InputError ||
    error instanceof TransientError
  )
    return error;
  const name = key === undefined ? bucket : `${bucket}/${key}`;
  const details = { at: name, cause: error };
  switch (error.code) {
    case 'ENOENT':
    case 'ENOTDIR':
      if (!(await exists(bucketPath(root, bucket)))) {
        return new InputError(
          'bucket-not-found',
          `the bucket "${bucket}" does not exist: there is no such folder in the store's root`,
          details,
        );
      }
      return new InputError('object-not-found', `${name} does not exist`, details);
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new InputError(
        'access-denied',
        `${name}: the file system refuses it (${error.code}); give this service's user the right to it`,
        details,
      );
    case 'EISDIR':
    case 'EEXIST':
    case 'ENOTEMPTY':
      return new InputError(
        'key-unsupported',
        `${name}: a folder has this name, or a file has the name of one of its folders`,
        details,
      );
    case 'ENOSPC':
    case 'EMFILE':
    case 'EIO':
    case 'EDQUOT':
    case 'ESTALE':
      return new TransientError(
        'object-store-unavailable',
        `${name}: the file system cannot do it now (${error.code})`,
        details,
      );
    default:
      return error;
  }
}

async function exists(folder: string): Promise<boolean> {
  return access(folder).then(
    () => true,
    () => false,
  );
}
