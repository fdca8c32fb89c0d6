// Owns a stack in the given directory until it is killed.
import { startStack } from '@millrace/dev-stack';

await startStack({ directory: process.argv[2], env: {}, needs: ['postgres', 'redis'] });
console.log('ready');
setInterval(() => undefined, 60_000);
