import { sql } from '@millrace/database';
import { claimUnit, newOwner, type UnitContext } from '@millrace/job-queue';
import { ImportRun, type ImportServices } from '../src/run-import/import-run.js';
import { silentEvents, type ImportHarness } from './import-harness.js';
import { mortalServices } from './mortal-services.js';

export interface KilledImport {
  /** Puts the files of an import there, everything in them named after the attempt, and opens a run. Resolves to its id. */
  readonly open: (name: string) => Promise<string>;
  /** Fails unless the import was done once and whole. */
  readonly expectDone: (name: string, runId: string) => Promise<void>;
}

/** Claims the open unit, as a worker that takes over from a dead one does, and runs it. */
async function work({ database }: ImportHarness, using: ImportServices): Promise<void> {
  await database.query(sql`UPDATE work.lease SET expires_at = clock_timestamp() - interval '1 s'`);
  const claimed = await claimUnit(database, {
    queues: ['import-run'],
    owner: newOwner('test'),
    leaseTtlMs: 30_000,
  });
  if (claimed === undefined) throw new Error('there is no unit to claim');
  const context: UnitContext = {
    lease: claimed.lease,
    signal: new AbortController().signal,
    stopReason: () => undefined,
    lastAttempt: false,
    noteCounts: () => undefined,
  };
  await new ImportRun(using).handle(claimed.unit, context);
}

/**
 * The same import again and again, its process killed just before or after its first effect, its second, and so on, each
 * ended by another process; until one is not killed any more. Resolves to how many effects an import has, and one.
 */
export async function killEverywhere(
  harness: ImportHarness,
  when: 'before' | 'after',
  { open, expectDone }: KilledImport,
): Promise<number> {
  const services: ImportServices = {
    database: harness.database,
    wakeUps: harness.wakeUps,
    events: silentEvents,
    settings: { lanes: 1, chunkLines: 5, maxStoredRejects: 100, maxPlainBytes: 1024 ** 3 },
    sealingKey: harness.sealingKey,
    openStore: () => harness.openStore(),
  };
  for (let killAt = 1; ; killAt += 1) {
    const name = `${when}${killAt}`;
    const runId = await open(name);
    const mortal = mortalServices(services, killAt, when);
    const survived = await work(harness, mortal.services).then(
      () => true,
      (error: unknown) => {
        if (!mortal.isDead()) throw error;
        return false;
      },
    );
    // Killed after its very last effect, it had ended its unit.
    const left = await harness.database.query(sql`SELECT 1 FROM work.unit WHERE state IN ('ready', 'running')`);
    if (left.rowCount > 0) await work(harness, services);
    await expectDone(name, runId);
    if (survived) return killAt;
  }
}
