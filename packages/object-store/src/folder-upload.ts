import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, open, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Transform, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { TransientError } from '@millrace/domain';
import type { OpenUpload, Upload, WriteSummary } from './object-store.js';

export interface FolderUploadPlace {
  /** Where the uploads of this bucket wait. */
  readonly uploads: string;
  readonly key: string;
  /** The file to become. */
  readonly target: string;
}

type Reword = <T>(action: () => Promise<T>) => Promise<T>;

/** An upload under way is a folder named by its id: `key` holds the object's key, `content` its bytes. */
export async function startFolderUpload(place: FolderUploadPlace, reword: Reword): Promise<Upload> {
  const uploadId = randomUUID();
  const folder = path.join(place.uploads, uploadId);
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'key'), place.key);
  return new FolderUpload(uploadId, folder, place.target, reword);
}

class FolderUpload implements Upload {
  readonly uploadId: string;
  readonly #folder: string;
  readonly #target: string;
  readonly #reword: Reword;
  readonly #stopped = new AbortController();
  #state: 'open' | 'writing' | 'written' | 'completed' | 'failed' | 'aborted' = 'open';
  #writing: Promise<WriteSummary> | undefined;

  constructor(uploadId: string, folder: string, target: string, reword: Reword) {
    this.uploadId = uploadId;
    this.#folder = folder;
    this.#target = target;
    this.#reword = reword;
  }

  async write(source: Readable): Promise<WriteSummary> {
    if (this.#state !== 'open') throw new Error(`an upload is written once; this one is ${this.#state}`);
    this.#state = 'writing';
    this.#writing = this.#store(source);
    return await this.#writing;
  }

  async #store(source: Readable): Promise<WriteSummary> {
    const digest = createHash('sha256');
    let bytes = 0;
    const count = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        bytes += chunk.length;
        digest.update(chunk);
        done(null, chunk);
      },
    });
    try {
      await pipeline(source, count, createWriteStream(this.#content, { flush: true }), {
        signal: this.#stopped.signal,
      });
    } catch (error) {
      if (this.#state === 'writing') this.#state = 'failed';
      throw error;
    }
    this.#state = 'written';
    const { ino } = await stat(this.#content, { bigint: true });
    return { bytes, sha256: digest.digest('hex'), parts: 1, receipt: String(ino) };
  }

  async complete(): Promise<void> {
    if (this.#state === 'completed') return;
    if (this.#state !== 'written')
      throw new Error(`only an upload whose source was read to its end can be completed; this one is ${this.#state}`);
    await this.#reword(async () => moveIntoPlace(this.#folder, this.#target));
    this.#state = 'completed';
  }

  async abort(): Promise<void> {
    if (this.#state === 'completed') return;
    this.#state = 'aborted';
    this.#stopped.abort();
    await this.#writing?.catch(() => {});
    await rm(this.#folder, { recursive: true, force: true });
  }

  get #content(): string {
    return contentOf(this.#folder);
  }
}

function contentOf(folder: string): string {
  return path.join(folder, 'content');
}

async function moveIntoPlace(folder: string, target: string): Promise<void> {
  await mkdir(path.dirname(target), { recursive: true });
  await rename(contentOf(folder), target);
  await syncFolder(path.dirname(target));
  await rm(folder, { recursive: true, force: true });
}

/** The receipt of a folder upload is the inode of its content, which a rename keeps. */
export async function completeFolderUpload(
  { uploads, key, target }: FolderUploadPlace,
  uploadId: string,
  receipt: string,
): Promise<void> {
  const inodeOf = async (file: string): Promise<string | undefined> =>
    stat(file, { bigint: true }).then(
      (stats) => String(stats.ino),
      () => undefined,
    );
  const folder = uploadFolder(uploads, uploadId);
  if (folder !== undefined && (await inodeOf(contentOf(folder))) === receipt)
    return await moveIntoPlace(folder, target);
  if ((await inodeOf(target)) !== receipt)
    throw new TransientError('upload-lost', `the upload of ${key} is no longer open; write the object again`);
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
}

export async function* listFolderUploads(uploads: string, prefix: string): AsyncGenerator<OpenUpload> {
  for (const uploadId of await readdir(uploads).catch(() => [])) {
    const file = path.join(uploads, uploadId, 'key');
    // Completed or aborted while the list is read.
    const key = await readFile(file, 'utf8').catch(() => undefined);
    if (key === undefined || !key.startsWith(prefix)) continue;
    yield { key, uploadId, startedAt: (await stat(file)).birthtime };
  }
}

/** Only folders that an upload made: an id from elsewhere must not reach anything else. */
function uploadFolder(uploads: string, uploadId: string): string | undefined {
  return /^[0-9a-f-]{36}$/.test(uploadId) ? path.join(uploads, uploadId) : undefined;
}

export async function abortFolderUpload(uploads: string, uploadId: string): Promise<void> {
  const folder = uploadFolder(uploads, uploadId);
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
}

/** Makes a rename outlast a power failure. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
