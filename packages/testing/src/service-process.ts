import { spawn, type ChildProcess } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import { waitFor } from './wait-for.js';

export interface ServiceProcessOptions {
  /** The built service's `main.js`. */
  readonly mainFile: string;
  /** All it gets beside its port and the PATH. */
  readonly env: Readonly<Record<string, string>>;
}

/** A built service as a process of its own, to be killed and stopped in the middle of its work. */
export class ServiceProcess {
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

  /** Resolves when it answers that it is ready to take work. */
  static async start({ mainFile, env }: ServiceProcessOptions): Promise<ServiceProcess> {
    const port = await freePort();
    const child = spawn(process.execPath, [mainFile], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env['PATH'],
        AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
        MILLRACE_PORT: String(port),
        ...env,
      },
    });
    const started = new ServiceProcess(child);
    await waitFor(
      async () => {
        if (!started.isAlive) return true;
        return (await fetch(`http://127.0.0.1:${port}/health/ready`)).ok;
      },
      120_000,
      'a service to be ready',
    );
    if (!started.isAlive) throw new Error(`${mainFile} ended: ${started.log.slice(-2000)}`);
    return started;
  }

  /** What it has written so far: a line of JSON for each event. */
  get log(): string {
    return this.#log;
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** SIGSTOP freezes it, connections and all, until SIGCONT. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal);
  }

  /** SIGKILL; resolves when it is gone. */
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
