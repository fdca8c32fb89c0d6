import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { BucketClient } from '../aws/bucket-client.js';
import { exportFolder } from './scenario.js';

export interface WrittenFile {
  readonly key: string;
  /** Rows without the header, counted in the object itself. */
  readonly rows: number;
  readonly sha256: string;
}

/** What reading back needs of a bucket. */
export type BucketReader = Pick<BucketClient, 'list' | 'get' | 'open'>;

interface Manifest {
  readonly files: readonly { readonly name: string; readonly rows: number; readonly sha256: string }[];
}

/**
 * Reads every object the exports have written and counts its rows; checks each against its manifest.
 * Throws when an object is missing, differs, or stands in no manifest.
 */
export async function readExports(bucket: BucketReader, bucketName: string): Promise<readonly WrittenFile[]> {
  const keys = (await bucket.list(bucketName, `${exportFolder}/`)).map(({ key }) => key);
  const manifests: Manifest[] = [];
  for (const key of keys.filter((each) => each.endsWith('.json')))
    manifests.push(JSON.parse((await bucket.get(bucketName, key)).toString()) as Manifest);
  const promised = new Map(manifests.flatMap(({ files }) => files.map((file) => [baseName(file.name), file] as const)));
  const written: WrittenFile[] = [];
  for (const key of keys.filter((each) => !each.endsWith('.json'))) {
    const file = await readRows(bucket, bucketName, key);
    const promise = promised.get(baseName(key));
    promised.delete(baseName(key));
    if (promise === undefined) throw new Error(`s3://${bucketName}/${key} stands in no manifest`);
    if (promise.rows !== file.rows || promise.sha256 !== file.sha256) {
      throw new Error(
        `s3://${bucketName}/${key} differs from its manifest: ${file.rows} rows where ${promise.rows} are promised`,
      );
    }
    written.push(file);
  }
  const [absent] = promised.keys();
  if (absent !== undefined)
    throw new Error(`the manifest names ${absent}, which is not in s3://${bucketName}/${exportFolder}/`);
  return written;
}

async function readRows(bucket: BucketReader, bucketName: string, key: string): Promise<WrittenFile> {
  const digest = createHash('sha256');
  const source = Readable.from(watch(await bucket.open(bucketName, key), (chunk) => digest.update(chunk)));
  const text = key.endsWith('.gz') ? source.pipe(createGunzip()) : source;
  if (text !== source) source.on('error', (error) => text.destroy(error));
  let records = 0;
  let [quoted, open] = [false, false];
  for await (const chunk of text as AsyncIterable<Buffer>) {
    for (const byte of chunk) {
      if (byte === 0x22) quoted = !quoted;
      if (byte === 0x0a && !quoted) {
        records += 1;
        open = false;
      } else open = true;
    }
  }
  if (open) records += 1;
  return { key, rows: Math.max(0, records - 1), sha256: digest.digest('hex') };
}

async function* watch(
  stream: ReadableStream<Uint8Array>,
  see: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>) {
    see(chunk);
    yield chunk;
  }
}

function baseName(name: string): string {
  return name.split('/').at(-1) ?? name;
}
