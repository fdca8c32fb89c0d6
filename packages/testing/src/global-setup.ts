import { chmodSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { startStack, type Stack, type StandIn } from '@millrace/dev-stack';
import { variables } from './environment.js';

declare global {
  var millraceTestStack: Stack | undefined;
}

const variableOf = {
  postgres: variables.database,
  redis: variables.redis,
  s3: variables.s3,
  kinesis: variables.kinesis,
} as const;

/** Starts what MILLRACE_TEST_* does not name; the whole of it goes away with the test run, even a killed one. */
export default async function setup(): Promise<void> {
  const needs = (Object.keys(variableOf) as StandIn[]).filter((name) => !process.env[variableOf[name]]);
  if (needs.length === 0) return;
  const cacheDirectory = fileURLToPath(new URL('../../../.dev', import.meta.url));
  mkdirSync(cacheDirectory, { recursive: true });
  const directory = mkdtempSync(path.join(tmpdir(), 'millrace-test-'));
  // Started by root, PostgreSQL runs as another user, who has to get in.
  chmodSync(directory, 0o711);
  // No MILLRACE_DATABASE_URL and the like here: those may hold somebody's data, tests take only what says it is for tests.
  const stack = await startStack({
    directory,
    cacheDirectory,
    needs,
    env: {},
    throwaway: true,
  });
  globalThis.millraceTestStack = stack;
  const urls = {
    postgres: stack.urls.database,
    redis: stack.urls.redis,
    s3: stack.urls.s3,
    kinesis: stack.urls.kinesis,
  };
  for (const name of needs) process.env[variableOf[name]] = urls[name];
}
