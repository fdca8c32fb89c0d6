import path from 'node:path';
import { BucketClient } from '../aws/bucket-client.js';
import { StreamClient } from '../aws/stream-client.js';
import { ApiClient } from '../demo/api-client.js';
import type { Surroundings } from '../demo/prepare-workspace.js';
import { repositoryRoot, startServices, type Services, type ServicesOptions } from '../services.js';
import { startStack, type Stack } from '../stack.js';
import { preferredPorts } from './preferred-ports.js';
import type { Steps } from './console.js';
import type { Shutdown } from './shutdown.js';

export interface Launched {
  readonly stack: Stack;
  readonly services: Services;
  readonly around: Surroundings;
}

/** Starts the stand-ins and the services, and arranges for their end. */
export async function launch(
  directory: string,
  steps: Steps,
  shutdown: Shutdown,
  onExit: ServicesOptions['onExit'],
): Promise<Launched> {
  const say = (line: string): void => {
    if (shutdown.asked) throw new Error('stopped while starting');
    steps.next(line);
  };
  const stack = await startStack({ directory, cacheDirectory: path.join(repositoryRoot, '.dev'), preferredPorts, say });
  shutdown.add(async () => {
    steps.failed();
    await stack.stop();
    console.log('✓ everything is stopped; the data stays for the next start');
  });
  const services = await startServices(stack, { preferredPorts, say, onExit });
  steps.done();
  const access = (endpoint: string) => ({ endpoint, region: 'us-east-1', ...stack.credentials });
  const around = {
    api: new ApiClient(services.apiUrl, services.apiKey),
    bucket: new BucketClient(access(stack.urls.s3)),
    stream: new StreamClient(access(stack.urls.kinesis)),
    urls: stack.urls,
    credentials: stack.credentials,
  };
  return { stack, services, around };
}
