import path from 'node:path';
import { repositoryRoot } from '../services.js';
import { tell } from './console.js';
import { demo } from './demo.js';
import { start } from './start.js';
import { test } from './test.js';

const commands = { start, demo, test } as const;

/** Entered by infra/bootstrap/cli.mjs once everything is installed and built. Ends the process. */
export async function run(command: string, args: readonly string[]): Promise<void> {
  const directory = path.join(repositoryRoot, '.dev');
  try {
    const entry = commands[command as keyof typeof commands];
    process.exit(await entry(directory, args));
  } catch (error) {
    tell(error, directory);
    process.exit(1);
  }
}
