import { sql, type Database } from '@millrace/database';
import { waitFor } from '@millrace/testing';
import { LaneShare, leaseRemainingMs, newOwner, type LaneShareOptions } from '../src/index.js';
import { recordingLog, workDatabase, type WorkDatabase } from './work-database.js';

const lanes = Array.from({ length: 256 }, (_, lane) => `lane:${lane}`);
let work: WorkDatabase;
let database: Database;

beforeEach(async () => {
  work = await workDatabase('lane-share');
  database = work.database;
});

afterEach(async () => {
  await work.close();
});

function share(options: Partial<LaneShareOptions> = {}): LaneShare {
  return new LaneShare({
    database,
    kind: 'stream-lane',
    resources: lanes,
    owner: newOwner('publisher'),
    leaseTtlMs: 2000,
    balanceMs: 100,
    log: recordingLog(),
    ...options,
  });
}

function expectApart(shares: readonly LaneShare[]): void {
  const held = shares.flatMap((each) => [...each.held().keys()]);
  expect(new Set(held).size).toBe(held.length);
}

describe('LaneShare', () => {
  it('holds every lane while alone', async () => {
    const alone = share();
    await alone.start();
    expect(alone.held().size).toBe(256);
    await alone.stop();
    expect((await database.query(sql`SELECT FROM work.lease WHERE expires_at > now()`)).rowCount).toBe(0);
  });

  it('shares fairly with owners that come and go, never two on a lane', async () => {
    const shares = [share(), share(), share()];
    for (const each of shares) {
      await each.start();
      expectApart(shares);
    }
    await waitFor(
      () =>
        shares.reduce((sum, each) => sum + each.held().size, 0) === 256 &&
        shares.every((each) => each.held().size >= 84),
    );
    expectApart(shares);
    expect(shares.every((each) => each.held().size <= 86)).toBe(true);
    await shares[0]?.stop();
    await waitFor(() => [1, 2].every((index) => shares[index]?.held().size === 128));
    await Promise.all(shares.slice(1).map((each) => each.stop()));
  });

  it('releases a lane only after its work is at rest, and does not offer it for new work meanwhile', async () => {
    let letGo = (): void => undefined;
    let asked: readonly string[] = [];
    const first = share({
      beforeRelease: (resources) => {
        asked = resources;
        return new Promise<void>((resolve) => (letGo = resolve));
      },
    });
    const second = share();
    await first.start();
    await second.start();
    await waitFor(() => asked.length === 128);
    expect(first.held().size).toBe(128);
    expect(second.held().size).toBe(0);
    letGo();
    await waitFor(() => second.held().size === 128);
    await Promise.all([first.stop(), second.stop()]);
  });

  it('keeps renewing while a release takes longer than the lease', async () => {
    let letGo = (): void => undefined;
    const first = share({ leaseTtlMs: 2000, beforeRelease: () => new Promise<void>((resolve) => (letGo = resolve)) });
    const second = share({ leaseTtlMs: 2000 });
    await first.start();
    await second.start();
    const startedAt = performance.now();
    await waitFor(() => performance.now() - startedAt > 4500);
    expect(first.held().size).toBe(128);
    expect(second.held().size).toBe(0);
    letGo();
    await waitFor(() => second.held().size === 128);
    await Promise.all([first.stop(), second.stop()]);
  });

  it('takes over the lanes of a dead owner when its leases have ended and the grace time is over', async () => {
    const dead = share({ balanceMs: 600_000, leaseTtlMs: 1000 });
    await dead.start();
    const endsAtMs = Math.max(...[...dead.held().values()].map((lease) => lease.endsAtMs));
    const heir = share({ leaseTtlMs: 1000, graceMs: 1000 });
    await heir.start();
    await waitFor(() => heir.held().size === 256);
    expect(performance.now()).toBeGreaterThan(endsAtMs + 900);
    expect(dead.held().size).toBe(0);
    expect([...heir.held().values()].every((lease) => leaseRemainingMs(lease) > 0)).toBe(true);
    await Promise.all([heir.stop(), dead.stop()]);
  });
});
