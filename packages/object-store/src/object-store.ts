import type { Readable } from 'node:stream';
import type { PermissionReport } from '@millrace/domain';

/**
 * Files in buckets. What every driver keeps to is written down as tests in `object-store.contract.ts`.
 *
 * All methods throw `InputError` for what a person must change (`bucket-not-found`, `object-not-found`,
 * `access-denied`, `credentials-refused`, `object-changed`, ...), and `TransientError('object-store-unavailable')`
 * when the store did not answer after several tries.
 */
export interface ObjectStore {
  /** Every object whose key begins with `prefix`, in the store's order, a page at a time. Folder markers (keys ending in `/`) are left out. */
  list(bucket: string, prefix: string): AsyncIterable<ObjectInfo>;

  /** `undefined` when there is no such object. */
  head(bucket: string, key: string): Promise<ObjectInfo | undefined>;

  /**
   * The object's bytes. The stream mends itself: when the connection breaks it goes on where it stopped, and only if
   * the object is still the same; otherwise it fails with `object-changed`. Destroy it to stop reading early.
   */
  read(bucket: string, key: string, options?: ReadOptions): Promise<Readable>;

  /**
   * Opens an upload; nothing is visible before `complete()`. Record `uploadId` before writing: after a crash it is
   * what `abortUpload` needs to remove the parts.
   */
  startUpload(bucket: string, key: string, options?: UploadOptions): Promise<Upload>;

  /**
   * Completes an upload that another process wrote: `receipt` is what its `write` returned. Done again after a crash in
   * its middle it succeeds; otherwise as `Upload.complete()`.
   */
  completeUpload(bucket: string, key: string, uploadId: string, receipt: string): Promise<void>;

  /** Uploads begun under this prefix and neither completed nor aborted. */
  listUploads(bucket: string, prefix: string): AsyncIterable<OpenUpload>;

  /** Removes an open upload and its parts; returns when they are gone. Does nothing if it was completed or aborted already. */
  abortUpload(bucket: string, key: string, uploadId: string): Promise<void>;

  /**
   * Renames `key` to `key.done`: copies it, checks the copy, deletes the original. Fails with `object-changed` if the
   * object is not (or no longer) the one with this ETag. Done again after a crash in its middle, it finishes the rest.
   */
  copyDone(bucket: string, key: string, ifMatch: string): Promise<void>;

  /** No error if the object is not there. */
  delete(bucket: string, key: string): Promise<void>;

  /**
   * Tries out what an import or export will need and says what is refused. Leaves no object behind; probes write and
   * delete only under a name that begins with `.millrace-permission-check-`, in `prefix`.
   */
  check(bucket: string, needs: PermissionNeeds, prefix?: string): Promise<PermissionReport>;

  /** Closes pooled connections. The store must not be used afterwards. */
  close(): void;
}

/** What `copyDone` appends to a key. */
export const doneSuffix = '.done';

export interface ObjectInfo {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** Without quotation marks. Equal only for equal content; different after every rewrite in the folder driver. */
  readonly etag: string;
  readonly lastModified: Date;
  readonly versionId?: string;
}

export interface ReadOptions {
  /** Bytes to leave out at the beginning. */
  readonly offset?: number;
  /** Only the object with this ETag. */
  readonly ifMatch?: string;
  /** Ends the wait for the beginning of the object; the stream, once there is one, is ended by destroying it. */
  readonly signal?: AbortSignal;
}

export interface UploadOptions {
  /** An upper bound of what will be written, in bytes: fixes the part size. Too low a bound is survived up to about three times its value. */
  readonly expectedBytes?: number;
  readonly contentType?: string;
}

export interface OpenUpload {
  readonly key: string;
  readonly uploadId: string;
  readonly startedAt: Date;
}

export interface WriteSummary {
  readonly bytes: number;
  /** Of the bytes as stored, in lower-case hexadecimal. */
  readonly sha256: string;
  readonly parts: number;
  /** Opaque, kilobytes long: what `completeUpload` needs to know of the parts. */
  readonly receipt: string;
}

/** One object on its way. Calls follow one another: `write` once, then `complete`; `abort` at any time. */
export interface Upload {
  readonly uploadId: string;

  /** Stores all of the source's bytes, still invisible. An error of the source is thrown as it came, and the upload can then only be aborted. */
  write(source: Readable): Promise<WriteSummary>;

  /**
   * Makes the object visible, whole, in one step. An answer lost on the way is looked into: what took effect counts as
   * success. After `TransientError` it is unknown whether the object is there: abort, and delete the key.
   */
  complete(): Promise<void>;

  /** Stops writing and removes what was stored; returns when it is gone. Does nothing after `complete()` or another `abort()`. */
  abort(): Promise<void>;
}

export type PermissionNeeds = 'import' | 'export';
