// The parts used of packages that bring no types.
declare module 's3rver' {
  import type { Server } from 'node:http';
  import type { Readable } from 'node:stream';

  export default class S3rver {
    constructor(options: { port: number; address: string; directory: string; silent: boolean; vhostBuckets: boolean });
    readonly httpServer: Server;
    readonly middleware: S3Middleware[];
    run(): Promise<unknown>;
  }

  export type S3Middleware = (ctx: S3Context, next: () => Promise<unknown>) => Promise<unknown>;

  export interface S3Context {
    readonly method: string;
    readonly path: string;
    readonly query: Readonly<Record<string, string | undefined>>;
    readonly headers: Record<string, string | undefined>;
    readonly store: S3Store;
    status: number;
    body: unknown;
  }

  export interface S3Store {
    getBucket(bucket: string): Promise<object | null>;
    getMetadata(bucket: string, key: string): Promise<Readonly<Record<string, string>>>;
    getResourcePath(bucket: string, key: string | undefined, resource: 'object' | 'uploads'): string;
    listObjects(
      bucket: string,
      options: { prefix: string; delimiter: string },
    ): Promise<{
      readonly objects: readonly {
        readonly key: string;
        readonly size: number;
        readonly metadata: Readonly<Record<string, string>>;
        readonly lastModifiedDate: Date;
      }[];
      readonly commonPrefixes: readonly string[];
    }>;
    putPart(bucket: string, uploadId: string, partNumber: number, content: Readable): Promise<{ readonly md5: string }>;
  }
}

declare module 's3rver/lib/models/error.js' {
  export default class S3Error extends Error {
    constructor(code: string, message: string, detail?: Readonly<Record<string, string>>);
  }
}

declare module 'kinesalite' {
  import type { Server } from 'node:http';

  export default function kinesalite(options: {
    path?: string | undefined;
    createStreamMs: number;
    deleteStreamMs: number;
    updateStreamMs: number;
    shardLimit: number;
  }): Server;
}
