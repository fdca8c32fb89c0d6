// Run by unit-worker.int.spec.ts and killed in the middle of a unit. Uses the built package.
import { Database } from '@millrace/database';
import { beginUnderLease, createMemoryWakeUps, newOwner, UnitWorker } from '../dist/index.js';

const database = new Database({ url: process.argv[2], applicationName: 'worker', maxConnections: 5 });
const silent = { info() {}, warn() {}, error() {} };
new UnitWorker({
  database,
  wakeUps: createMemoryWakeUps(),
  queues: ['import-run'],
  owner: newOwner('worker'),
  leaseTtlMs: 1500,
  log: silent,
  handler: async (unit, { lease }) => {
    await database.transaction(async (tx) => {
      await beginUnderLease(tx, lease);
      console.log(`running ${unit.id}`);
      await new Promise(() => undefined);
    });
  },
}).start();
