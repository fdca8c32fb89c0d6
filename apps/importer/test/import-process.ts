import { spawn, type ChildProcess } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { testRedisUrl, waitFor } from '@millrace/testing';
import type { ImportHarness } from './import-harness.js';

const mainFile = fileURLToPath(new URL('../dist/main.js', import.meta.url));

/** The built importer as a process of its own, on a harness's database. */
export class ImportProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #log = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#ended = new Promise((resolve) => child.once('exit', () => resolve()));
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#log += text;
      });
  }

  /** Resolves when it is ready to take runs. `env` is added to what it needs. */
  static async start(harness: ImportHarness, env: Readonly<Record<string, string>> = {}): Promise<ImportProcess> {
    const port = await freePort();
    const child = spawn(process.execPath, [mainFile], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env['PATH'],
        MILLRACE_DATABASE_URL: harness.testDatabase.url,
        MILLRACE_REDIS_URL: await testRedisUrl(),
        MILLRACE_SEALING_KEY: Buffer.from(harness.sealingKey).toString('base64'),
        MILLRACE_PORT: String(port),
        MILLRACE_IMPORT_LANES: '1',
        MILLRACE_IMPORT_CHUNK_LINES: '10',
        MILLRACE_IMPORT_LEASE_MS: '3000',
        ...env,
      },
    });
    const started = new ImportProcess(child);
    await waitFor(
      async () => {
        if (child.exitCode !== null) throw new Error(`the importer ended: ${started.log.slice(-2000)}`);
        return (await fetch(`http://127.0.0.1:${port}/health/ready`)).ok;
      },
      60_000,
      'the importer to be ready',
    );
    return started;
  }

  /** What it has written so far: a line of JSON for each event. */
  get log(): string {
    return this.#log;
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal);
  }

  /** Resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  return port;
}
