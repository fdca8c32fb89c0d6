#!/usr/bin/env node
// The first program of a fresh clone: plain Node without dependencies, since nothing is installed yet.
// It brings pnpm, the packages and the build up to date, then hands over to packages/dev-stack in this same process.
import { pathToFileURL } from 'node:url';
import path from 'node:path';
import { buildAll } from './build.mjs';
import { checkNode, installPackages, providePnpm } from './install.mjs';
import { BootstrapError, repositoryRoot } from './steps.mjs';

const commands = {
  start: 'start the stack and the services, run the demo exchange, stay up',
  test: 'run every test',
  demo: 'run the demo exchange once and stop (--northwind DIR: on that data)',
};

async function main() {
  const [command, ...args] = process.argv.slice(2);
  if (!Object.hasOwn(commands, command)) {
    const list = Object.entries(commands).map(([name, does]) => `  npm run ${name.padEnd(6)} ${does}`);
    throw new BootstrapError(`there is no command "${command ?? ''}"`, `use one of\n${list.join('\n')}`);
  }
  checkNode();
  await providePnpm();
  await installPackages();
  await buildAll();
  const cli = await import(pathToFileURL(path.join(repositoryRoot, 'packages/dev-stack/dist/cli/main.js')).href);
  await cli.run(command, args);
}

main().catch((error) => {
  console.error(`\nMillrace: ${error.message ?? error}`);
  if (error.nextStep) console.error(`Next step: ${error.nextStep}`);
  // Whoever reads only the last line must not take a broken build for success.
  if (process.argv[2] === 'test') console.log('Tests: 0 passed, 1 failed, 0 skipped');
  process.exit(1);
});
