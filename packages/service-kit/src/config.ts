import { readFileSync } from 'node:fs';
import { z } from 'zod';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Every key of the environment that is wrong, one line each. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(['the configuration is wrong:', ...problems.map((problem) => `  ${problem}`)].join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/**
 * Reads the variables named by the schema's keys. `X_FILE` may hold the path of a file with the value of `X` (a mounted
 * secret; one line break at its end is dropped). An empty variable counts as not given. Throws `ConfigError`.
 */
export function parseConfig<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  env: Environment,
): z.output<z.ZodObject<Shape>> {
  const problems: string[] = [];
  const given: Record<string, string> = {};
  for (const key of Object.keys(schema.shape)) {
    const value = valueOf(key, env, problems);
    if (value !== undefined) given[key] = value;
  }
  const alreadyNamed = new Set(problems.map((problem) => problem.split(/[ :]/)[0]?.replace(/_FILE$/, '')));
  const result = schema.safeParse(given);
  if (result.success && problems.length === 0) return result.data;
  for (const issue of result.error?.issues ?? []) {
    const key = String(issue.path[0] ?? '(all)');
    if (alreadyNamed.has(key)) continue;
    // zod's messages name types and bounds, never the value: a secret with a typing error stays out of the log.
    problems.push(
      key in given ? `${key}: ${issue.message}` : `${key} is missing: set it, or ${key}_FILE to a file that holds it`,
    );
  }
  throw new ConfigError(problems);
}

/** `parseConfig` for a service's start: prints every wrong key on standard error and exits with 1. */
export function readConfig<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  env: Environment = process.env,
): z.output<z.ZodObject<Shape>> {
  try {
    return parseConfig(schema, env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

function valueOf(key: string, env: Environment, problems: string[]): string | undefined {
  const direct = env[key] === '' ? undefined : env[key];
  const file = env[`${key}_FILE`];
  if (file === undefined || file === '') return direct;
  if (direct !== undefined) {
    problems.push(`${key} and ${key}_FILE are both set: keep one`);
    return undefined;
  }
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    problems.push(`${key}_FILE: cannot read ${file} (${code})`);
    return undefined;
  }
}

const port = z.coerce.number().int().min(0).max(65_535);

/** What every service reads. Spread into the service's own `z.object`. */
export const commonConfig = {
  MILLRACE_DATABASE_URL: z.url({
    protocol: /^postgres(ql)?$/,
    error: 'must look like postgres://user:password@host:5432/database',
  }),
  MILLRACE_REDIS_URL: z.url({ protocol: /^rediss?$/, error: 'must look like redis://host:6379' }),
  MILLRACE_PORT: port,
  MILLRACE_LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace']).default('info'),
};
