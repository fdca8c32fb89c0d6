import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { loadKeys } from './keys.js';
import { choosePort } from './processes/ports.js';
import type { Managed } from './processes/supervisor.js';
import { StackError } from './stack-error.js';
import type { Stack } from './stack.js';

export const serviceNames = ['config-api', 'importer', 'batch-exporter', 'stream-publisher'] as const;
export type ServiceName = (typeof serviceNames)[number];

export const repositoryRoot = fileURLToPath(new URL('../../../', import.meta.url));

export interface ServicesOptions {
  /** Default: all four. */
  readonly services?: readonly ServiceName[];
  /** Added to, or instead of, the environment each service gets. */
  readonly env?: Readonly<Record<string, string>>;
  readonly preferredPorts?: Readonly<Record<string, number>>;
  readonly say?: (line: string) => void;
  /** Told of a service that ends without having been asked to. */
  readonly onExit?: ((services: Services, service: ServiceName, how: string) => void) | undefined;
}

/** The built services, running as processes of their own. Logs: `<stack>/logs/<service>.log`. */
export interface Services {
  readonly apiKey: string;
  readonly apiUrl: string;
  url(service: ServiceName): string;
  pid(service: ServiceName): number;
  /** Ends a service and resolves when it is gone; default SIGTERM, and SIGKILL after its grace. */
  kill(service: ServiceName, signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same port, ending it first if it still runs; resolves when it is ready. */
  restart(service: ServiceName, signal?: NodeJS.Signals): Promise<void>;
  logFile(service: ServiceName): string;
  /** Resolves when the process that runs now has ended, however that came about. */
  ended(service: ServiceName): Managed['ended'];
}

/** Applies the migrations, then starts the services and waits until each answers /health/ready. */
export async function startServices(stack: Stack, options: ServicesOptions = {}): Promise<Services> {
  const services = options.services ?? serviceNames;
  const say = options.say ?? (() => undefined);
  const keys = loadKeys(stack.directory, serviceNames);
  for (const service of services) checkBuilt(service);

  say('applying migrations');
  await migrateServices(stack, services);

  const { supervisor } = stack;
  const ports = new Map<ServiceName, number>();
  for (const service of services) {
    const preferred = [supervisor.ports[service], options.preferredPorts?.[service]].filter(
      (port) => port !== undefined,
    );
    const taken = [...ports.values()];
    const port = await choosePort(
      service,
      preferred.filter((candidate) => !taken.includes(candidate)),
    );
    if (preferred.length > 0 && !preferred.includes(port))
      say(`port ${preferred[0]} is taken: ${service} gets ${port}`);
    ports.set(service, port);
    supervisor.ports[service] = port;
  }

  const running = new Map<ServiceName, Managed>();
  const asked = new Set<ServiceName>();
  const watch = (service: ServiceName, managed: Managed): void => {
    running.set(service, managed);
    void managed.ended.then(({ code, signal }) => {
      if (running.get(service) === managed && !asked.has(service) && !supervisor.isEnding)
        options.onExit?.(handles, service, signal ?? `code ${code ?? 'unknown'}`);
    });
  };
  const portOf = (service: ServiceName): number => {
    const port = ports.get(service);
    if (port === undefined) throw new RangeError(`${service} was not started`);
    return port;
  };

  const managedOf = (service: ServiceName): Managed => {
    const managed = running.get(service);
    if (managed === undefined) throw new RangeError(`${service} was not started`);
    return managed;
  };
  const handles: Services = {
    apiKey: keys.apiKey,
    apiUrl: ports.has('config-api') ? `http://127.0.0.1:${portOf('config-api')}` : '',
    url: (service) => `http://127.0.0.1:${portOf(service)}`,
    pid: (service) => managedOf(service).pid,
    logFile: (service) => managedOf(service).logFile,
    ended: async (service) => await managedOf(service).ended,
    kill: async (service, signal) => {
      asked.add(service);
      await supervisor.end(service, signal);
    },
    restart: async (service, signal) => {
      asked.add(service);
      const managed = await supervisor.restart(service, signal);
      asked.delete(service);
      watch(service, managed);
    },
  };
  say(`starting ${services.join(', ')}`);
  await Promise.all(
    services.map(async (service) => {
      const port = portOf(service);
      const managed = await supervisor.launch({
        name: service,
        command: process.execPath,
        args: ['--enable-source-maps', mainFile(service)],
        cwd: path.join(repositoryRoot, 'apps', service),
        env: { ...serviceEnvironment(stack, service, port), ...options.env },
        port,
        group: 'services',
        readyWithinMs: 60_000,
        isReady: async () => await answers(`http://127.0.0.1:${port}/health/ready`),
      });
      watch(service, managed);
    }),
  );
  return handles;
}

/** Runs each service's migration step against the stack's database; they take turns by a lock of their own. */
export async function migrateServices(
  stack: StackPlace,
  services: readonly ServiceName[] = serviceNames,
): Promise<void> {
  await Promise.all(services.map(async (service) => await migrateService(stack, service)));
}

async function migrateService(stack: StackPlace, service: ServiceName): Promise<void> {
  const file = path.join(repositoryRoot, 'apps', service, 'dist', 'migrate.js');
  if (!existsSync(file)) return;
  try {
    const env = serviceEnvironment(stack, service, 0);
    await promisify(execFile)(process.execPath, [file], { env, maxBuffer: 16 * 1024 * 1024 });
  } catch (error) {
    const said =
      error instanceof Error && 'stderr' in error
        ? String(error.stderr).trim().split('\n').slice(-5).join('\n  ')
        : String(error);
    throw new StackError(
      `the migrations of ${service} failed:\n  ${said}`,
      'a store made by a newer release cannot be used by an older one; otherwise this is a bug worth reporting',
      { cause: error },
    );
  }
}

/** The parts of a stack that make a service's environment. */
export type StackPlace = Pick<Stack, 'directory' | 'urls' | 'ports'>;

/** What a service reads from its environment (its README has the table). */
export function serviceEnvironment(stack: StackPlace, service: ServiceName, port: number): NodeJS.ProcessEnv {
  const keys = loadKeys(stack.directory, serviceNames);
  const secrets =
    service === 'config-api'
      ? {
          MILLRACE_SEALING_KEYS: JSON.stringify(keys.sealing),
          MILLRACE_BOOTSTRAP_API_KEY: keys.apiKey,
          MILLRACE_IMPORTER_URL: `http://127.0.0.1:${stack.ports['importer'] ?? 0}`,
          MILLRACE_EXPORTER_URL: `http://127.0.0.1:${stack.ports['batch-exporter'] ?? 0}`,
          MILLRACE_PUBLISHER_URL: `http://127.0.0.1:${stack.ports['stream-publisher'] ?? 0}`,
          // A receiver on this machine can be tried out.
          MILLRACE_ALERT_HTTP: 'true',
          MILLRACE_ALERT_PRIVATE_ADDRESSES: 'true',
        }
      : { MILLRACE_SEALING_KEY: keys.sealing[service] };
  // Flags of the tool that started us, such as jest's, are not for the services.
  const { NODE_OPTIONS: _, ...inherited } = process.env;
  return {
    ...inherited,
    NODE_ENV: 'production',
    // Without a bound V8 lets garbage grow on a machine with much memory; the services stream and need far less.
    NODE_OPTIONS: '--max-old-space-size=192',
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    MILLRACE_DATABASE_URL: stack.urls.database,
    MILLRACE_REDIS_URL: stack.urls.redis,
    MILLRACE_PORT: String(port),
    MILLRACE_LOG_LEVEL: process.env['MILLRACE_LOG_LEVEL'] ?? 'info',
    MILLRACE_SERVICE_TOKEN: keys.serviceToken,
    ...secrets,
  };
}

function mainFile(service: ServiceName): string {
  return path.join(repositoryRoot, 'apps', service, 'dist', 'main.js');
}

function checkBuilt(service: ServiceName): void {
  if (!existsSync(mainFile(service))) {
    throw new StackError(
      `${service} is not built (${mainFile(service)} is missing)`,
      'run `npm start` or `pnpm build`',
    );
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}
