import { connect, type Socket } from 'node:net';

type Reply = string | number | null | readonly Reply[];

/** Sees everything that is sent to Redis, and everything that lies in it. */
export class RedisWatch {
  readonly #url: URL;
  readonly #monitor: Socket;
  #seen = '';

  private constructor(url: URL, monitor: Socket) {
    this.#url = url;
    this.#monitor = monitor;
    monitor.setEncoding('utf8').on('data', (text: string) => (this.#seen += text));
  }

  /** https://redis.io/docs/latest/commands/monitor/: from now on every command, with its arguments, of every client. */
  static async start(url: string): Promise<RedisWatch> {
    const target = new URL(url);
    const socket = await open(target);
    const watch = new RedisWatch(target, socket);
    socket.write('MONITOR\r\n');
    await new Promise((resolve) => socket.once('data', resolve));
    return watch;
  }

  /** All commands so far, one a line. */
  get commands(): string {
    return this.#seen;
  }

  /** Every key of every database that is in use, with its whole value. */
  async contents(): Promise<string> {
    const client = new RedisClient(await open(this.#url));
    const found: unknown[] = [];
    for (let [cursor, keys] = await client.scan('0'); ; [cursor, keys] = await client.scan(cursor)) {
      for (const key of keys) found.push([key, await client.read(key)]);
      if (cursor === '0') break;
    }
    client.close();
    return JSON.stringify(found);
  }

  stop(): void {
    this.#monitor.destroy();
  }
}

async function open({ hostname, port }: URL): Promise<Socket> {
  const socket = connect(Number(port), hostname);
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return socket;
}

/** The reading half of https://redis.io/docs/latest/develop/reference/protocol-spec/, one command at a time. */
class RedisClient {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #arrived = (): void => undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#arrived();
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  async scan(cursor: string): Promise<readonly [string, readonly string[]]> {
    return (await this.#ask('SCAN', cursor, 'COUNT', '1000')) as [string, string[]];
  }

  async read(key: string): Promise<Reply> {
    const type = await this.#ask('TYPE', key);
    switch (type) {
      case 'string':
        return await this.#ask('GET', key);
      case 'hash':
        return await this.#ask('HGETALL', key);
      case 'list':
        return await this.#ask('LRANGE', key, '0', '-1');
      case 'set':
        return await this.#ask('SMEMBERS', key);
      case 'zset':
        return await this.#ask('ZRANGE', key, '0', '-1', 'WITHSCORES');
      case 'stream':
        return await this.#ask('XRANGE', key, '-', '+');
      case 'none':
        return null;
      default:
        throw new Error(`a key of type ${String(type)}, which this test cannot read`);
    }
  }

  async #ask(...words: readonly string[]): Promise<Reply> {
    this.#socket.write(
      `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`,
    );
    return await this.#reply();
  }

  async #reply(): Promise<Reply> {
    const line = await this.#line();
    const rest = line.slice(1);
    switch (line.charAt(0)) {
      case '+':
        return rest;
      case ':':
        return Number(rest);
      case '$':
        return rest === '-1' ? null : (await this.#take(Number(rest) + 2)).subarray(0, -2).toString();
      case '*': {
        const items: Reply[] = [];
        for (let left = Number(rest); left > 0; left -= 1) items.push(await this.#reply());
        return items;
      }
      default:
        throw new Error(`Redis answered ${line}`);
    }
  }

  async #line(): Promise<string> {
    for (let end = this.#received.indexOf('\r\n'); ; end = this.#received.indexOf('\r\n')) {
      if (end >= 0) return (await this.#take(end + 2)).subarray(0, -2).toString();
      await this.#more();
    }
  }

  async #take(bytes: number): Promise<Buffer> {
    while (this.#received.length < bytes) await this.#more();
    const taken = this.#received.subarray(0, bytes);
    this.#received = this.#received.subarray(bytes);
    return taken;
  }

  async #more(): Promise<void> {
    await new Promise<void>((resolve) => (this.#arrived = resolve));
  }
}
