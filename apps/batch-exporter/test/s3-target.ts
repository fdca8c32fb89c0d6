import { createS3ObjectStore, type ObjectStore, type S3ObjectStoreOptions } from '@millrace/object-store';
import { awsAccess } from '@millrace/testing';
import type { Exporter } from '../src/run-export/exporter.js';
import type { ExportFixture } from './export-fixture.js';

/** Buckets behind an endpoint; gives up soon, so that tests of faults are quick. */
export function s3Store(endpoint: string, options: Partial<S3ObjectStoreOptions> = {}): ObjectStore {
  const { region, accessKeyId, secretAccessKey } = awsAccess('s3');
  return createS3ObjectStore({
    region,
    endpoint,
    credentials: { kind: 'access-key', accessKeyId, secretAccessKey },
    retry: { attempts: 4, firstDelayMs: 1, maxDelayMs: 20 },
    ...options,
  });
}

export function s3Exporter(fixture: ExportFixture, url: string, options?: Partial<S3ObjectStoreOptions>): Exporter {
  return fixture.exporter({ openTarget: ({ endpoint }) => ({ endpoint, store: s3Store(url, options) }) });
}

interface Request {
  readonly method: string;
  readonly path: string;
}

/** What is in the bucket, or begins so; not which uploads are open. */
export const isListing = ({ method, path }: Request): boolean => method === 'GET' && path.includes('list-type=2');
export const isBegin = ({ method, path }: Request): boolean => method === 'POST' && /[?&]uploads\b/.test(path);
/** Of an object, not of an upload. */
export const isDeletion = ({ method, path }: Request): boolean => method === 'DELETE' && !path.includes('uploadId=');
export const isUploadPart = ({ method, path }: Request): boolean => method === 'PUT' && path.includes('partNumber=');
export const isCompletion = ({ method, path }: Request): boolean => method === 'POST' && path.includes('uploadId=');
/** Makes the object of such a name visible. */
export const announces =
  (suffix: string) =>
  (request: Request): boolean =>
    isCompletion(request) && request.path.split('?', 1)[0]?.endsWith(suffix) === true;
