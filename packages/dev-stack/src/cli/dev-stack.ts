// The `dev` task of this package: the stand-ins alone, for services that run in watch mode beside it.
import { loadKeys } from '../keys.js';
import { serviceNames } from '../services.js';
import { startStack } from '../stack.js';
import { Steps, tell } from './console.js';
import { announce, devDirectory, withdraw } from './dev-place.js';
import { preferredPorts } from './preferred-ports.js';
import { Shutdown } from './shutdown.js';

const shutdown = new Shutdown();
const steps = new Steps();
try {
  const stack = await startStack({
    directory: devDirectory,
    preferredPorts,
    say: (line) => {
      steps.next(line);
    },
  });
  shutdown.add(async () => {
    withdraw();
    await stack.stop();
  });
  // The services' ports are their preferred ones: each is started by a task of its own.
  Object.assign(stack.supervisor.ports, { ...preferredPorts, ...stack.ports });
  // Made here once, before several services ask for them at the same time.
  loadKeys(devDirectory, serviceNames);
  announce(stack);
  steps.done();
  console.log(
    `the stand-ins are up: ${stack.urls.database} · ${stack.urls.redis} · ${stack.urls.s3} · ${stack.urls.kinesis}`,
  );
} catch (error) {
  steps.failed();
  await shutdown.run();
  tell(error, devDirectory);
  process.exit(1);
}
setInterval(() => undefined, 60_000);
