// Runs beside a stack, in a session of its own. Its standard input is a pipe that only the stack's owner holds:
// when the owner ends in whatever way, SIGKILL included, the pipe closes and what is left of the stack is ended here.
import { unlockDirectory } from './directory-lock.js';
import { endLeftovers, StateFile } from './stack-state.js';

const directory = process.argv[2];
if (directory === undefined) throw new Error('usage: watchdog.js <stack directory>');

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

process.stdin.resume();
process.stdin.on('error', () => undefined);
process.stdin.once('close', () => {
  const file = new StateFile(directory);
  const state = file.read();
  // A successor may own the stack by now: then its own watchdog looks after it.
  if (state === undefined || state.owner.pid !== Number(process.argv[3])) process.exit(0);
  void endLeftovers(file, state).finally(() => {
    unlockDirectory(directory);
    process.exit(0);
  });
});
