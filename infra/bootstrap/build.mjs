import path from 'node:path';
import { repositoryRoot, runStep } from './steps.mjs';

/** Builds what has changed since it was last built. */
export async function buildAll() {
  const turbo = path.join(repositoryRoot, 'node_modules/.bin/turbo');
  process.env.TURBO_TELEMETRY_DISABLED = '1';
  process.env.TURBO_NO_UPDATE_NOTIFIER = '1';
  await runStep('building', 'build', turbo, ['run', 'build', '--output-logs=new-only', '--no-color'], {
    noise: /cache (hit|miss)|: \$ |^ *(•|Tasks:|Cached:|Time:)|^$/,
    nextStep:
      'the lines above name the file; after a merge or a pull, `rm -rf node_modules packages/*/dist apps/*/dist` gives a clean start',
  });
}
