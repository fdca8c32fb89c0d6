import { once } from 'node:events';
import { sql, type Database, type Transaction } from '@millrace/database';
import { waitFor } from '@millrace/testing';
import {
  beginUnderLease,
  beginUnderLeases,
  LeaseLostError,
  leaseRemainingMs,
  Leases,
  type Lease,
} from '../src/index.js';
import { markers, workDatabase, type WorkDatabase } from './work-database.js';

let work: WorkDatabase;
let database: Database;
let leases: Leases;

beforeAll(async () => {
  work = await workDatabase('lease');
  database = work.database;
  leases = new Leases(database);
});

afterAll(async () => {
  await work.close();
});

async function takeNow(resource: string, owner: string, ttlMs: number): Promise<Lease> {
  return (await waitFor(() => leases.take(resource, owner, ttlMs), 15_000, `${owner} to get ${resource}`)) as Lease;
}

async function backendsNamed(name: string): Promise<number> {
  const { rows } = await database.query<{ n: number }>(
    sql`SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = ${name}`,
  );
  return rows[0]?.n ?? 0;
}

/** A transaction under the lease that writes a marker and then stays as it is until told to go on. */
function leftOpen(
  lease: Lease,
  marker: string,
  pause: (tx: Transaction) => Promise<unknown>,
): { readonly begun: Promise<void>; readonly outcome: Promise<string> } {
  let tellBegun = (): void => undefined;
  const begun = new Promise<void>((resolve) => (tellBegun = resolve));
  const outcome = database
    .transaction(async (tx) => {
      await beginUnderLease(tx, lease);
      await tx.query(sql`INSERT INTO public.marker VALUES (${marker})`);
      tellBegun();
      await pause(tx);
      await tx.query(sql`SELECT 1`);
    })
    .then(
      () => 'committed',
      () => 'rolled back',
    );
  return { begun, outcome };
}

describe('a lease', () => {
  it('has one holder at a time', async () => {
    const all = await Promise.all(
      Array.from({ length: 8 }, (_, index) => leases.take('unit:one', `owner-${index}`, 60_000)),
    );
    expect(all.filter((lease) => lease !== undefined)).toHaveLength(1);
  });

  it('is free at once after its release, under a higher token', async () => {
    const first = (await leases.take('unit:released', 'a', 60_000)) as Lease;
    await leases.release(first);
    const second = (await leases.take('unit:released', 'b', 60_000)) as Lease;
    expect(Number(second.token)).toBeGreaterThan(Number(first.token));
    expect(await leases.renew(first)).toBeUndefined();
  });

  it('is prolonged by a heartbeat, past its first end', async () => {
    const lease = (await leases.take('unit:beating', 'a', 2000)) as Lease;
    const firstEnd = lease.endsAtMs;
    let held: Lease = lease;
    await waitFor(async () => {
      held = (await leases.renew(held)) as Lease;
      return performance.now() > firstEnd + 200;
    });
    expect(await leases.take('unit:beating', 'b', 2000)).toBeUndefined();
    expect(leaseRemainingMs(held)).toBeGreaterThan(0);
  });

  it('cannot be renewed by its old holder after a takeover', async () => {
    const old = (await leases.take('unit:taken', 'a', 1)) as Lease;
    await takeNow('unit:taken', 'b', 60_000);
    expect(await leases.renew(old)).toBeUndefined();
    await expect(database.transaction((tx) => beginUnderLease(tx, old))).rejects.toThrow(LeaseLostError);
  });

  it('lets no transaction begin after its end, even while nobody else took it', async () => {
    const lease = (await leases.take('unit:ended', 'a', 1)) as Lease;
    // This process's count ends before the database's: well past both.
    await waitFor(() => leaseRemainingMs(lease) < -250);
    await expect(database.transaction((tx) => beginUnderLease(tx, lease))).rejects.toThrow(LeaseLostError);
  });

  it('waits for the grace time before a takeover, not after a release', async () => {
    const options = { resources: ['lane:grace'], ttlMs: 1, graceMs: 60_000 };
    const [lease] = await leases.takeMany({ ...options, owner: 'a' });
    await waitFor(() => leaseRemainingMs(lease as Lease) < 0);
    expect(await leases.takeMany({ ...options, owner: 'b' })).toEqual([]);
    await leases.release(lease as Lease);
    expect(await leases.takeMany({ ...options, owner: 'b' })).toHaveLength(1);
  });
});

describe('a transaction under a lease', () => {
  it('does not hold up the heartbeat', async () => {
    const lease = (await leases.take('unit:long', 'a', 60_000)) as Lease;
    const renewed = await database.transaction(async (tx) => {
      await beginUnderLease(tx, lease);
      return await leases.renew(lease);
    });
    expect(renewed).toBeDefined();
  });

  it('names its backend and loses the name at its end', async () => {
    const lease = (await leases.take('unit:named', 'a', 60_000)) as Lease;
    const name = `mr-lease:${lease.id}:${lease.token}`;
    await database.transaction(async (tx) => {
      await beginUnderLease(tx, lease);
      expect(await backendsNamed(name)).toBe(1);
    });
    expect(await backendsNamed(name)).toBe(0);
  });

  it('is ended by PostgreSQL when it idles for half the lease, before anybody takes over', async () => {
    const lease = (await leases.take('unit:idle', 'a', 1500)) as Lease;
    let letGo = (): void => undefined;
    const open = leftOpen(lease, 'idle', () => new Promise<void>((resolve) => (letGo = resolve)));
    await open.begun;
    await waitFor(async () => (await backendsNamed(`mr-lease:${lease.id}:${lease.token}`)) === 0);
    letGo();
    expect(await open.outcome).toBe('rolled back');
    expect(await markers(database)).not.toContain('idle');
  });

  it('is ended by a takeover when it hangs in a statement', async () => {
    const lease = (await leases.take('unit:hanging', 'a', 300)) as Lease;
    const open = leftOpen(lease, 'hanging', (tx) => tx.query(sql`SELECT pg_sleep(600)`));
    await open.begun;
    await takeNow('unit:hanging', 'b', 60_000);
    expect(await open.outcome).toBe('rolled back');
    expect(await markers(database)).not.toContain('hanging');
  });

  it('is ended by a takeover in the middle of a COPY whose rows stopped coming', async () => {
    const lease = (await leases.take('unit:copying', 'a', 300)) as Lease;
    const open = leftOpen(lease, 'copying', async (tx) => {
      const copy = tx.copyIn(sql`COPY public.marker FROM STDIN`);
      copy.write('copied\n');
      await once(copy, 'error').then(([error]) => Promise.reject(error as Error));
    });
    await open.begun;
    await takeNow('unit:copying', 'b', 60_000);
    expect(await open.outcome).toBe('rolled back');
    expect(await markers(database)).not.toEqual(expect.arrayContaining(['copied']));
  });

  it('cannot be passed by a takeover that failed to end it', async () => {
    const lease = (await leases.take('unit:unfound', 'a', 1000)) as Lease;
    await database.transaction(async (tx) => {
      await beginUnderLease(tx, lease);
      // As a takeover without the right to end it would see it.
      await tx.query(sql`SELECT set_config('application_name', 'somebody', true)`);
      await tx.query(sql`SELECT pg_sleep(1.1)`);
      expect(await leases.take('unit:unfound', 'b', 60_000)).toBeUndefined();
    });
    expect(await leases.take('unit:unfound', 'b', 60_000)).toBeDefined();
  });

  it('is waited for by nobody: a takeover ends what its holder left open', async () => {
    const lease = (await leases.take('unit:prompt', 'a', 300)) as Lease;
    const open = leftOpen(lease, 'prompt', (tx) => tx.query(sql`SELECT pg_sleep(600)`));
    await open.begun;
    await takeNow('unit:prompt', 'b', 60_000);
    await open.outcome;
  });

  it('covers several leases of one owner, and ends when one of them is taken over', async () => {
    const held = await leases.takeMany({ resources: ['lane:x', 'lane:y'], owner: 'publisher-1', ttlMs: 300 });
    expect(held).toHaveLength(2);
    const outcome = database
      .transaction(async (tx) => {
        await beginUnderLeases(tx, held);
        await tx.query(sql`INSERT INTO public.marker VALUES ('several')`);
        await tx.query(sql`SELECT pg_sleep(600)`);
      })
      .catch(() => 'rolled back');
    await waitFor(() => backendsNamed('mr-leases:publisher-1').then((count) => count === 1));
    await takeNow('lane:y', 'publisher-2', 60_000);
    expect(await outcome).toBe('rolled back');
    await expect(database.transaction((tx) => beginUnderLeases(tx, held))).rejects.toThrow(LeaseLostError);
    expect(await markers(database)).not.toContain('several');
  });
});
