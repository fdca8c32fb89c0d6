// The parts used of packages that bring no types.
declare module 's3rver' {
  import type { Server } from 'node:http';

  export default class S3rver {
    constructor(options: { port: number; address: string; directory: string; silent: boolean; vhostBuckets: boolean });
    readonly httpServer: Server;
    run(): Promise<unknown>;
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
