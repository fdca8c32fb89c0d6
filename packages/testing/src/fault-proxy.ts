import { createServer, request as forward, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from './wait-for.js';

/** What happens to a request instead of, or after, being forwarded. */
export type Fault =
  /** Answered by the proxy; the server behind never sees it. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly body?: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** The connection is cut before anything is forwarded. */
  | { readonly kind: 'reset' }
  /** Forwarded late. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** Forwarded once the promise resolves; forgotten if the client has gone by then. */
  | { readonly kind: 'hold'; readonly until: Promise<void> }
  /** Forwarded and carried out, but the answer never comes. */
  | { readonly kind: 'lose-answer' }
  /** Forwarded; the answer is cut after so many bytes of its body. */
  | { readonly kind: 'truncate'; readonly afterBytes: number }
  /** Forwarded; the answer stops after so many bytes of its body, and goes on once the promise resolves. */
  | { readonly kind: 'stall'; readonly afterBytes: number; readonly until: Promise<void> }
  /** Forwarded; the answer's body is rewritten. */
  | { readonly kind: 'rewrite'; readonly body: (body: string) => string; readonly status?: number };

export interface SeenRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export interface FaultRule {
  readonly when: (request: SeenRequest) => boolean;
  readonly fault: Fault;
  /** How many matching requests it hits; default 1. */
  readonly times?: number;
  /** How many matching requests pass first; default 0. */
  readonly skip?: number;
}

interface ActiveRule {
  readonly rule: FaultRule;
  skip: number;
  left: number;
  hits: number;
}

/** A fault that lies in wait. */
export interface InjectedFault {
  /** Resolves once so many requests (default: one) have come upon it; those whose answer is lost, once they are carried out. */
  met(requests?: number): Promise<void>;
}

/**
 * An HTTP proxy in front of a stand-in that misbehaves on request, as a network or a busy service does.
 * The original Host header is kept: the stand-ins do not check it and signatures stay whole.
 */
export class FaultProxy {
  readonly #target: URL;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #rules: ActiveRule[] = [];
  /** What came in, in order, bodies included only while `keepBodies` is on. */
  readonly seen: SeenRequest[] = [];

  private constructor(target: string) {
    this.#target = new URL(target);
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch(() => response.destroy());
    });
    this.#server.keepAliveTimeout = 75_000;
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(target: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(target);
    await new Promise<void>((resolve) => {
      proxy.#server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Adds a rule; of several that match, the oldest still active one acts. */
  inject(rule: FaultRule): InjectedFault {
    const active = { rule, skip: rule.skip ?? 0, left: rule.times ?? 1, hits: 0 };
    this.#rules.push(active);
    return {
      met: async (requests = 1) => {
        await waitFor(() => active.hits >= requests, 60_000, `${requests} requests that meet "${rule.fault.kind}"`);
      },
    };
  }

  /** Forgets all rules and seen requests. */
  clear(): void {
    this.#rules.length = 0;
    this.seen.length = 0;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const seen = {
      method: request.method ?? '',
      path: request.url ?? '/',
      headers: request.headers,
      body: Buffer.concat(chunks),
    };
    this.seen.push(seen);
    const active = this.#nextFault(seen);
    const fault = active?.rule.fault;
    if (active !== undefined && fault?.kind !== 'lose-answer') active.hits += 1;
    switch (fault?.kind) {
      case 'status':
        response.writeHead(fault.status, fault.headers).end(fault.body ?? '');
        return;
      case 'reset':
        request.socket.resetAndDestroy();
        return;
      case 'delay':
        await delay(fault.ms);
        break;
      case 'hold':
        await fault.until;
        if (request.socket.destroyed) return;
        break;
      default:
        break;
    }
    await this.#forward(seen, response, active);
  }

  #nextFault(seen: SeenRequest): ActiveRule | undefined {
    for (const active of this.#rules) {
      if (active.left === 0 || !active.rule.when(seen)) continue;
      if (active.skip > 0) {
        active.skip -= 1;
        continue;
      }
      active.left -= 1;
      return active;
    }
    return undefined;
  }

  async #forward(seen: SeenRequest, response: ServerResponse, active: ActiveRule | undefined): Promise<void> {
    const fault = active?.rule.fault;
    const headers = { ...seen.headers };
    delete headers['transfer-encoding'];
    delete headers['expect'];
    if (seen.body.length > 0 || headers['content-length'] !== undefined)
      headers['content-length'] = String(seen.body.length);
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const { hostname, port } = this.#target;
      forward({ hostname, port, method: seen.method, path: seen.path, headers, agent: false }, resolve)
        .on('error', reject)
        .end(seen.body);
    });
    switch (fault?.kind) {
      case 'lose-answer':
        answer.resume();
        await new Promise((resolve) => answer.once('close', resolve));
        if (active !== undefined) active.hits += 1;
        // The client's own timeout has to end this, as with a real lost answer.
        return;
      case 'truncate': {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        let left = fault.afterBytes;
        for await (const chunk of answer) {
          const part = (chunk as Buffer).subarray(0, left);
          left -= part.length;
          if (part.length > 0) await new Promise((resolve) => response.write(part, resolve));
          if (left === 0) break;
        }
        response.socket?.destroy();
        return;
      }
      case 'stall': {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        let left = fault.afterBytes;
        for await (const chunk of answer) {
          const part = (chunk as Buffer).subarray(0, left);
          response.write(part);
          left -= part.length;
          if (left > 0 || part.length === (chunk as Buffer).length) continue;
          await fault.until;
          left = Number.POSITIVE_INFINITY;
          response.write((chunk as Buffer).subarray(part.length));
        }
        response.end();
        return;
      }
      case 'rewrite': {
        const chunks: Buffer[] = [];
        for await (const chunk of answer) chunks.push(chunk as Buffer);
        const body = Buffer.from(fault.body(Buffer.concat(chunks).toString()));
        response
          .writeHead(fault.status ?? answer.statusCode ?? 502, {
            ...answer.headers,
            'content-length': String(body.length),
          })
          .end(body);
        return;
      }
      default:
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        for await (const chunk of answer)
          if (!response.write(chunk)) await new Promise((resolve) => response.once('drain', resolve));
        response.end();
    }
  }
}
