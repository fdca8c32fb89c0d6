import { sql } from '@millrace/database';
import { gate, hold, type FaultRule, type ServiceProcess, waitFor } from '@millrace/testing';
import { ExportScene } from './export-scene.js';
import { announces, isBegin, isCompletion, isDeletion, isListing, isUploadPart } from './s3-target.js';

type When = FaultRule['when'];

let scene: ExportScene;

beforeAll(async () => {
  scene = await ExportScene.create('stalled');
});
beforeEach(async () => {
  await scene.beginTest();
});
afterEach(async () => {
  await scene.endProcesses();
  await scene.endTest();
});
afterAll(async () => {
  await scene?.close();
});

/** Four for runs and two for files: all that an exporter of the scene has room for, but two files. */
const steps: readonly When[] = [
  isBegin,
  isUploadPart,
  isListing,
  isCompletion,
  announces('.manifest.json'),
  announces('.ready'),
];

/** Wakes the stalled one and waits until it has given up all it had: it has room again for as much as ever. */
async function thaw(victim: ServiceProcess, successor: ServiceProcess): Promise<void> {
  await successor.kill();
  victim.signal('SIGCONT');
  const free = gate();
  const files = scene.s3.inject({ when: isUploadPart, times: 4, fault: { kind: 'hold', until: free.opened } });
  const writing = [await scene.open(), await scene.open()];
  await files.met(4).catch((error: unknown) => {
    throw new Error(`${victim.isAlive ? 'awake' : 'dead'}: ${victim.log.slice(-4000)}`, { cause: error });
  });
  const looking = scene.s3.inject({ when: isListing, times: 4, fault: { kind: 'hold', until: free.opened } });
  const naming = [await scene.open(), await scene.open(), await scene.open(), await scene.open()];
  await looking.met(4);
  free.open();
  for (const run of [...writing, ...naming]) await scene.expectUndisturbed(run);
  expect(victim.isAlive).toBe(true);
}

describe('an exporter that stalls past its leases, and wakes up when another one has ended its runs, changes nothing', () => {
  it.each([
    ['with requests that arrive only then', true],
    ['with requests that were carried out while it was away', false],
  ])('%s', async (_name, late) => {
    const victim = await scene.start();
    const held = gate();
    const fault = { kind: 'hold', until: held.opened } as const;
    const runs = await Promise.all(steps.map(async (when) => await scene.openUntil({ when, fault })));
    victim.signal('SIGSTOP');
    if (!late) held.open();
    const successor = await scene.start();
    for (const run of runs) await scene.expectUndisturbed(run);
    const delivered = await scene.allObjects();
    if (late) held.open();
    await thaw(victim, successor);
    expect(await scene.allObjects()).toEqual(expect.arrayContaining([...delivered]));
    for (const run of runs) await scene.expectUndisturbed(run);
  });

  it('with transactions that were waiting for a lock', async () => {
    const victim = await scene.start();
    const watermark = await hold(scene.fixture.database, sql`LOCK TABLE exporter.watermark IN SHARE MODE`);
    const ending = await scene.open();
    await scene.somebodyWaits('%INSERT INTO exporter.watermark%');
    const plan = await hold(scene.fixture.database, sql`LOCK TABLE work.run_event IN SHARE MODE`);
    const planning = await scene.open();
    await scene.somebodyWaits('%INSERT INTO work.run_event%');
    const before = [await scene.leaseToken(ending), await scene.leaseToken(planning)];
    victim.signal('SIGSTOP');
    const successor = await scene.start();
    for (const [index, run] of [ending, planning].entries())
      await waitFor(async () => (await scene.leaseToken(run)) !== before[index], 60_000, 'the takeover');
    await plan.letGo();
    await watermark.letGo();
    for (const run of [ending, planning]) await scene.expectUndisturbed(run);
    const delivered = await scene.allObjects();
    await thaw(victim, successor);
    expect(await scene.allObjects()).toEqual(expect.arrayContaining([...delivered]));
    for (const run of [ending, planning]) await scene.expectUndisturbed(run);
  });

  const refused = { kind: 'status', status: 403, body: '<Error><Code>AccessDenied</Code></Error>' } as const;

  it('also where it was about to announce files that the other one had to take back', async () => {
    const victim = await scene.start();
    const held = gate();
    const fault = { kind: 'hold', until: held.opened } as const;
    const announcing = [announces('.manifest.json'), announces('.ready')];
    const runs = await Promise.all(announcing.map(async (when) => await scene.openUntil({ when, fault })));
    victim.signal('SIGSTOP');
    for (const when of announcing) scene.s3.inject({ when, fault: refused, times: 1000 });
    const successor = await scene.start();
    for (const { runId, directory } of runs) {
      const ended = await scene.fixture.outcome(runId, 120_000);
      expect(ended).toMatchObject({ outcome: 'failed', error: { code: 'access-denied' } });
      expect(await scene.objects(directory)).toEqual([]);
    }
    scene.s3.clear();
    held.open();
    await thaw(victim, successor);
    for (const { directory } of runs) {
      expect(await scene.objects(directory)).toEqual([]);
      expect(await scene.openUploads(directory)).toEqual([]);
    }
  });

  it('also where it was taking files back under names that a later run has delivered', async () => {
    const victim = await scene.start();
    const held = gate();
    scene.s3.inject({ when: announces('.manifest.json'), fault: refused });
    const run = await scene.openUntil({ when: isDeletion, fault: { kind: 'hold', until: held.opened } });
    victim.signal('SIGSTOP');
    held.open();
    const successor = await scene.start();
    expect(await scene.fixture.outcome(run.runId, 120_000)).toMatchObject({ outcome: 'failed' });
    expect(await scene.objects(run.directory)).toEqual([]);
    const later = await scene.open({}, run.directory);
    await scene.expectUndisturbed(later);
    const delivered = await scene.allObjects();
    await thaw(victim, successor);
    expect(await scene.allObjects()).toEqual(expect.arrayContaining([...delivered]));
    await scene.expectUndisturbed(later);
  });
});
