import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';

export async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Large buffers are compared by this: jest looks at them byte by byte. */
export function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function inChunks(bytes: Uint8Array, size = 10_000): Readable {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
  return Readable.from(chunks, { objectMode: false });
}

/** Bytes that a stream ends with, and the code of the error where it ends with one. */
export async function outcome(
  stream: Readable,
): Promise<{ bytes: number; code: string | undefined; at?: string | undefined }> {
  let bytes = 0;
  try {
    for await (const chunk of stream) bytes += (chunk as Buffer).length;
    return { bytes, code: undefined };
  } catch (error) {
    const { code, at, message } = error as { code?: string; at?: string; message: string };
    return { bytes, code: code ?? message, ...(at === undefined ? {} : { at }) };
  }
}
