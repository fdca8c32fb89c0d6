import { encode, sendSigned, type AwsAccess, type SignedRequest } from './signature.js';

export interface StoredObject {
  readonly key: string;
  readonly bytes: number;
}

/** The few S3 operations that seeding and reading back need. */
export class BucketClient {
  readonly #access: AwsAccess;

  constructor(access: AwsAccess) {
    this.#access = access;
  }

  /** Makes the bucket; one that exists already is fine. */
  async createBucket(bucket: string): Promise<void> {
    const response = await this.#send({ method: 'PUT', path: `/${bucket}` }, [409]);
    await response.body?.cancel();
  }

  async put(bucket: string, key: string, body: Uint8Array | string | ReadableStream, bytes?: number): Promise<void> {
    const content = typeof body === 'string' ? Buffer.from(body) : body;
    const length = content instanceof ReadableStream ? bytes : content.byteLength;
    const headers: Record<string, string> = length === undefined ? {} : { 'content-length': String(length) };
    const response = await this.#send({ method: 'PUT', path: objectPath(bucket, key), headers, body: content });
    await response.body?.cancel();
  }

  /** The object's bytes as a stream, and nothing kept in memory. */
  async open(bucket: string, key: string): Promise<ReadableStream<Uint8Array>> {
    const response = await this.#send({ method: 'GET', path: objectPath(bucket, key) });
    if (response.body === null) throw new Error(`s3://${bucket}/${key} has no body`);
    return response.body as ReadableStream<Uint8Array>;
  }

  async get(bucket: string, key: string): Promise<Buffer> {
    const response = await this.#send({ method: 'GET', path: objectPath(bucket, key) });
    return Buffer.from(await response.arrayBuffer());
  }

  async exists(bucket: string, key: string): Promise<boolean> {
    const response = await this.#send({ method: 'HEAD', path: objectPath(bucket, key) }, [404]);
    return response.status !== 404;
  }

  async delete(bucket: string, key: string): Promise<void> {
    await this.#send({ method: 'DELETE', path: objectPath(bucket, key) }, [404]);
  }

  /** Every object below the prefix, in key order. */
  async list(bucket: string, prefix = ''): Promise<readonly StoredObject[]> {
    const found: StoredObject[] = [];
    let token: string | undefined;
    do {
      const query: Record<string, string> = {
        'list-type': '2',
        prefix,
        ...(token === undefined ? {} : { 'continuation-token': token }),
      };
      const text = await (await this.#send({ method: 'GET', path: `/${bucket}`, query })).text();
      for (const [, entry = ''] of text.matchAll(/<Contents>(.*?)<\/Contents>/gs)) {
        found.push({ key: unescape(element(entry, 'Key') ?? ''), bytes: Number(element(entry, 'Size')) });
      }
      token =
        element(text, 'IsTruncated') === 'true' ? unescape(element(text, 'NextContinuationToken') ?? '') : undefined;
    } while (token);
    return found;
  }

  /** Keys of multipart uploads begun and neither completed nor aborted. */
  async listOpenUploads(bucket: string): Promise<readonly string[]> {
    const text = await (await this.#send({ method: 'GET', path: `/${bucket}`, query: { uploads: '' } })).text();
    return [...text.matchAll(/<Upload>.*?<Key>(.*?)<\/Key>.*?<\/Upload>/gs)].map(([, key = '']) => unescape(key));
  }

  async #send(request: SignedRequest, accepted: readonly number[] = []): Promise<Response> {
    const response = await sendSigned(this.#access, 's3', request);
    if (response.ok || accepted.includes(response.status)) return response;
    const code = element(await response.text(), 'Code') ?? String(response.status);
    throw new Error(`${request.method} s3:/${decodeURIComponent(request.path)}: ${code}`);
  }
}

function objectPath(bucket: string, key: string): string {
  return `/${bucket}/${key.split('/').map(encode).join('/')}`;
}

function element(xml: string, name: string): string | undefined {
  return new RegExp(`<${name}>(.*?)</${name}>`, 's').exec(xml)?.[1];
}

function unescape(text: string): string {
  const named: Record<string, string> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };
  return text.replace(
    /&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi,
    (whole, hexadecimal?: string, decimal?: string, name?: string) => {
      if (hexadecimal !== undefined) return String.fromCodePoint(parseInt(hexadecimal, 16));
      if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
      return named[name ?? ''] ?? whole;
    },
  );
}
