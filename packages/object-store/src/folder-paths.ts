import path from 'node:path';
import { InputError } from '@millrace/domain';

/** Uploads under way, per bucket; not a possible bucket name, so never listed. */
const uploadsFolder = '.millrace-uploads';

/** `<root>/<bucket>`. Only names S3 would take, which also keeps the path inside the root. */
export function bucketPath(root: string, bucket: string): string {
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket) || bucket.includes('..')) {
    throw new InputError('bucket-not-found', `"${bucket}" is not a possible name of a bucket`, { at: bucket });
  }
  return path.join(root, bucket);
}

/** A key is a relative path with `/`; what a file system would fold together or leave by is refused. */
export function objectPath(root: string, bucket: string, key: string): string {
  const steps = key.split('/');
  if (
    key.includes('\0') ||
    steps.some((step) => step === '' || step === '.' || step === '..' || Buffer.byteLength(step) > 255)
  ) {
    throw new InputError(
      'key-unsupported',
      `${bucket}/${key}: a folder cannot hold this name; avoid empty, ".", ".." and very long steps between slashes`,
      { at: `${bucket}/${key}` },
    );
  }
  return path.join(bucketPath(root, bucket), ...steps);
}

export function uploadsPath(root: string, bucket: string): string {
  return path.join(root, uploadsFolder, path.basename(bucketPath(root, bucket)));
}

/** The folder to search for keys with this prefix: its part up to the last slash. */
export function deepestFolder(prefix: string): string {
  const steps = prefix.split('/').slice(0, -1);
  return steps.some((step) => step === '' || step === '.' || step === '..') ? '' : steps.join('/');
}
