import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Database } from '@millrace/database';
import {
  BucketClient,
  startServices,
  startStack,
  StreamClient,
  type AwsAccess,
  type Services,
  type ServicesOptions,
  type Stack,
} from '@millrace/dev-stack';
import { Api } from './api.js';

/** Short leases: what a killed process held is soon taken over. */
const quickTakeover = {
  MILLRACE_IMPORT_LEASE_MS: '2000',
  MILLRACE_EXPORT_LEASE_MS: '2000',
  MILLRACE_STREAM_LEASE_MS: '2000',
  MILLRACE_STREAM_REQUEST_TIMEOUT_MS: '1000',
} as const;

const developmentFolder = fileURLToPath(new URL('../../.dev', import.meta.url));

/** The four services as processes on a throwaway stack, and the ways to reach what they do. */
export class Millrace {
  readonly stack: Stack;
  readonly services: Services;
  readonly api: Api;
  readonly bucket: BucketClient;
  readonly stream: StreamClient;
  /** To look into the store, and to stand in its way; the flow itself is driven through the API alone. */
  readonly database: Database;
  readonly #name: string;
  readonly #crashed: readonly string[];

  private constructor(name: string, stack: Stack, services: Services, crashed: readonly string[]) {
    this.#name = name;
    this.#crashed = crashed;
    this.stack = stack;
    this.services = services;
    this.api = new Api(services.apiUrl, services.apiKey);
    this.bucket = new BucketClient(this.access(stack.urls.s3));
    this.stream = new StreamClient(this.access(stack.urls.kinesis));
    this.database = new Database({ url: stack.urls.database, applicationName: 'e2e', maxConnections: 6 });
  }

  /** `name`: where the logs are kept afterwards, `.dev/e2e/<name>`; `env`: of all four services, beside what the stack gives them. */
  static async start(name: string, env: Readonly<Record<string, string>> = {}): Promise<Millrace> {
    mkdirSync(developmentFolder, { recursive: true });
    const directory = mkdtempSync(path.join(tmpdir(), 'millrace-e2e-'));
    // Started by root, PostgreSQL runs as another user, who has to get in.
    chmodSync(directory, 0o711);
    const stack = await startStack({ directory, cacheDirectory: developmentFolder, env: {}, throwaway: true });
    const crashed: string[] = [];
    const onExit: ServicesOptions['onExit'] = (_, service, how) => void crashed.push(`${service} ended with ${how}`);
    try {
      const services = await startServices(stack, { env: { ...quickTakeover, ...env }, onExit });
      return new Millrace(name, stack, services, crashed);
    } catch (error) {
      await stack.stop();
      throw error;
    }
  }

  access(endpoint: string): AwsAccess {
    return { endpoint, region: 'us-east-1', ...this.stack.credentials };
  }

  /** Where the services, and PostgreSQL, Redis and the stand-ins, write their logs. */
  get logFolder(): string {
    return path.join(this.stack.directory, 'logs');
  }

  /** Ends everything. Throws when a service had ended that nobody had asked to. */
  async stop(): Promise<void> {
    await this.database.end();
    const kept = path.join(developmentFolder, 'e2e', this.#name);
    rmSync(kept, { recursive: true, force: true });
    if (existsSync(this.logFolder)) cpSync(this.logFolder, kept, { recursive: true });
    await this.stack.stop();
    if (this.#crashed.length > 0) throw new Error(`${this.#crashed.join('; ')}: see ${kept}`);
  }
}
