import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { lockDirectory, unlockDirectory } from './processes/directory-lock.js';
import { choosePort, isFree } from './processes/ports.js';
import { endLeftovers, StateFile } from './processes/stack-state.js';
import { Supervisor } from './processes/supervisor.js';
import { StackError } from './stack-error.js';
import { standInCredentials, startKinesis, startS3 } from './stand-ins/aws-stand-ins.js';
import { findPostgresHome, startPostgres } from './stand-ins/postgres.js';
import { startRedis } from './stand-ins/redis.js';

export type StandIn = 'postgres' | 'redis' | 's3' | 'kinesis';

export interface StackOptions {
  /** Data, logs and state of this stack. Two stacks never share one. */
  readonly directory: string;
  /** Where downloads that several stacks use are kept; default: the directory itself. */
  readonly cacheDirectory?: string;
  /** Which of the four to have; default: all. */
  readonly needs?: readonly StandIn[];
  /** Read for MILLRACE_DATABASE_URL, MILLRACE_REDIS_URL, MILLRACE_S3_ENDPOINT, MILLRACE_KINESIS_ENDPOINT: what is given is not started. */
  readonly env?: NodeJS.ProcessEnv;
  /** Ports to take if free; those of the stack's last run go first. */
  readonly preferredPorts?: Readonly<Record<string, number>>;
  /** Everything goes when the stack stops, and durability is traded for speed. */
  readonly throwaway?: boolean;
  /** One line of progress. */
  readonly say?: (line: string) => void;
}

export interface StackUrls {
  readonly database: string;
  readonly redis: string;
  readonly s3: string;
  readonly kinesis: string;
}

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** What the four services need around them, running. */
export interface Stack {
  readonly directory: string;
  readonly urls: StackUrls;
  /** For the S3 and Kinesis endpoints. */
  readonly credentials: AwsCredentials;
  /** What this stack runs itself. */
  readonly started: readonly StandIn[];
  readonly supervisor: Supervisor;
  /** By name of stand-in or service. */
  readonly ports: Readonly<Record<string, number>>;
  /** Ends one of the stand-ins with the signal (default: its polite one) and starts it again, Redis empty. */
  restart(name: StandIn, signal?: NodeJS.Signals): Promise<void>;
  /** Ends everything this stack started, services included, last started first. */
  stop(onEnding?: (name: string) => void): Promise<void>;
}

const databaseName = 'millrace';
const givenBy = {
  postgres: 'MILLRACE_DATABASE_URL',
  redis: 'MILLRACE_REDIS_URL',
  s3: 'MILLRACE_S3_ENDPOINT',
  kinesis: 'MILLRACE_KINESIS_ENDPOINT',
} as const;

/**
 * Starts what is missing of PostgreSQL, Redis, S3 and Kinesis, after ending what an interrupted earlier run left behind.
 * Throws `StackError` (with the next step) when another run owns the directory or something cannot be started.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { directory, throwaway = false } = options;
  const env = options.env ?? process.env;
  const say = options.say ?? (() => undefined);
  await lockDirectory(directory);
  mkdirSync(directory, { recursive: true });
  const lastPorts = await takeOver(directory, say);

  const needs = options.needs ?? (['postgres', 'redis', 's3', 'kinesis'] as const);
  const home = needs.includes('postgres') && !env[givenBy.postgres] ? findPostgresHome(directory) : undefined;
  const outside = home?.outside === undefined ? [] : [home.outside];
  const supervisor = new Supervisor(directory, {
    ports: lastPorts,
    deleteWhenStopped: throwaway ? [directory, ...outside] : [],
  });
  const started: StandIn[] = [];

  const provide = async (name: StandIn, start: (port: number) => Promise<string>): Promise<string> => {
    const given = env[givenBy[name]];
    if (given) return given;
    if (!needs.includes(name)) return '';
    say(`starting ${names[name]}`);
    const preferred = [lastPorts[name], options.preferredPorts?.[name]].filter((port) => port !== undefined);
    const url = await withPort(name, preferred, async (port) => {
      if (preferred.length > 0 && !preferred.includes(port))
        say(`port ${preferred[0]} is taken: ${names[name]} gets ${port}`);
      supervisor.ports[name] = port;
      return await start(port);
    });
    started.push(name);
    return url;
  };

  try {
    const database = await provide('postgres', async (port) => {
      if (home === undefined) throw new Error('no home was looked for');
      const password = databasePassword(directory);
      return (await startPostgres(supervisor, home, { port, password, database: databaseName, durable: !throwaway }))
        .url;
    });
    const redis = await provide(
      'redis',
      async (port) => (await startRedis(supervisor, port, options.cacheDirectory ?? directory, say)).url,
    );
    const s3 = await provide('s3', async (port) => (await startS3(supervisor, port)).url);
    const kinesis = await provide('kinesis', async (port) => (await startKinesis(supervisor, port, !throwaway)).url);
    return {
      directory,
      urls: { database, redis, s3, kinesis },
      credentials: credentialsFrom(env),
      started,
      supervisor,
      ports: supervisor.ports,
      restart: async (name, signal) => {
        await supervisor.restart(name, signal);
      },
      stop: async (onEnding) => {
        await supervisor.endAll(onEnding);
        unlockDirectory(directory);
      },
    };
  } catch (error) {
    await supervisor.endAll();
    unlockDirectory(directory);
    throw error;
  }
}

/** Deletes a stack's data, after ending what an interrupted run of it has left; refuses while one is running. */
export async function wipeStack(directory: string): Promise<void> {
  if (!existsSync(directory)) return;
  await lockDirectory(directory);
  await takeOver(directory, () => undefined);
  const { outside } = findPostgresHome(directory);
  for (const folder of [directory, ...(outside === undefined ? [] : [outside])])
    rmSync(folder, { recursive: true, force: true });
}

const names: Record<StandIn, string> = {
  postgres: 'PostgreSQL',
  redis: 'Redis',
  s3: 'the S3 stand-in',
  kinesis: 'the Kinesis stand-in',
};

async function takeOver(directory: string, say: (line: string) => void): Promise<Readonly<Record<string, number>>> {
  const file = new StateFile(directory);
  const state = file.read();
  if (state === undefined) return {};
  const ended = await endLeftovers(file, state);
  if (ended.length > 0) say(`ended what an earlier run had left: ${ended.join(', ')}`);
  return state.ports;
}

// Between choosing a port and listening on it another program may take it: then the next one is tried.
async function withPort(
  name: string,
  preferred: readonly number[],
  start: (port: number) => Promise<string>,
): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await choosePort(name, attempt === 1 ? preferred : []);
    try {
      return await start(port);
    } catch (error) {
      if (attempt === 3 || !(error instanceof StackError) || (await isFree(port))) throw error;
    }
  }
}

function credentialsFrom(env: NodeJS.ProcessEnv): AwsCredentials {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env;
  const foreign = Boolean(env[givenBy.s3] ?? env[givenBy.kinesis]);
  return foreign && accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey } : standInCredentials;
}

function databasePassword(directory: string): string {
  const file = path.join(directory, 'postgres-password');
  if (!existsSync(file)) writeFileSync(file, randomBytes(18).toString('base64url'), { mode: 0o600 });
  return readFileSync(file, 'utf8').trim();
}
