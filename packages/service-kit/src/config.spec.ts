import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { commonConfig, ConfigError, parseConfig } from './config.js';

const schema = z.object({
  HOST: z.string(),
  PORT: z.coerce.number().int().max(65_535),
  SECRET: z.string().min(8),
  LEVEL: z.enum(['low', 'high']).default('low'),
});
const good = { HOST: 'h', PORT: '80', SECRET: 'long enough' };

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    parseConfig(schema, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  throw new Error('was accepted');
}

describe('parseConfig', () => {
  let folder: string;
  beforeAll(() => void (folder = mkdtempSync(path.join(tmpdir(), 'config-'))));
  afterAll(() => rmSync(folder, { recursive: true }));

  function file(content: string): string {
    const name = path.join(folder, 'secret');
    writeFileSync(name, content);
    return name;
  }

  it('reads what the schema names, with defaults, and ignores the rest of the environment', () => {
    expect(parseConfig(schema, { ...good, PATH: '/bin' })).toEqual({
      HOST: 'h',
      PORT: 80,
      SECRET: 'long enough',
      LEVEL: 'low',
    });
  });

  it('reads X from the file that X_FILE names, without its last line break', () => {
    const { SECRET: _, ...rest } = good;
    expect(parseConfig(schema, { ...rest, SECRET_FILE: file('from a file\n') }).SECRET).toBe('from a file');
  });

  it('names every wrong key at once', () => {
    const problems = problemsOf({ PORT: 'eighty', SECRET: 'short', LEVEL: 'medium' });
    expect(problems.map((problem) => problem.split(/[ :]/)[0]).sort()).toEqual(['HOST', 'LEVEL', 'PORT', 'SECRET']);
  });

  it('counts an empty variable as missing and tells how to give it', () => {
    expect(problemsOf({ ...good, HOST: '' })).toEqual([
      'HOST is missing: set it, or HOST_FILE to a file that holds it',
    ]);
  });

  it('refuses X beside X_FILE', () => {
    expect(problemsOf({ ...good, SECRET_FILE: file('x') })).toEqual(['SECRET and SECRET_FILE are both set: keep one']);
  });

  it('names the file that cannot be read, once', () => {
    const { SECRET: _, ...rest } = good;
    expect(problemsOf({ ...rest, SECRET_FILE: '/does/not/exist' })).toEqual([
      'SECRET_FILE: cannot read /does/not/exist (ENOENT)',
    ]);
  });

  it('never repeats a value', () => {
    expect(problemsOf({ ...good, SECRET: 'planted', LEVEL: 'planted', PORT: 'planted' }).join()).not.toContain(
      'planted',
    );
  });

  it('tells what a database URL looks like', () => {
    const env = { MILLRACE_DATABASE_URL: 'mysql://x', MILLRACE_REDIS_URL: 'redis://h', MILLRACE_PORT: '1' };
    expect(() => parseConfig(z.object(commonConfig), env)).toThrow(/MILLRACE_DATABASE_URL: must look like postgres:/);
  });
});
