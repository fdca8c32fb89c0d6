// Run by frozen-process.int.spec.ts: holds a lease and stops at a chosen point. Uses the built package.
import { Database, sql } from '@millrace/database';
import { setTimeout as delay } from 'node:timers/promises';
import { beginUnderLease, Leases } from '../dist/index.js';

const [url, resource, how] = process.argv.slice(2);
const database = new Database({ url, applicationName: 'holder', maxConnections: 2 });
const lease = await new Leases(database).take(resource, 'holder', 1500);

await database.transaction(async (tx) => {
  await beginUnderLease(tx, lease);
  await tx.query(sql`INSERT INTO public.marker VALUES (${`${how} first`})`);
});
try {
  await database.transaction(async (tx) => {
    await beginUnderLease(tx, lease);
    await tx.query(sql`INSERT INTO public.marker VALUES (${`${how} second`})`);
    // 'idle' waits between two statements, 'busy' inside one.
    const statement = how === 'busy' ? tx.query(sql`SELECT pg_sleep(4)`) : undefined;
    console.log('in the middle');
    await (statement ?? delay(100));
  });
  console.log('transaction committed');
} catch {
  console.log('transaction failed');
}
try {
  await database.transaction((tx) => beginUnderLease(tx, lease));
  console.log('next transaction: begun');
} catch (error) {
  console.log(`next transaction: ${error.name}`);
}
await database.end();
