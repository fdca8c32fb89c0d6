import { sql } from '@millrace/database';
import { gate, hold, type FaultRule, type ServiceProcess } from '@millrace/testing';
import { ExportScene, type SceneRun } from './export-scene.js';
import { announces, isBegin, isCompletion, isListing, isUploadPart } from './s3-target.js';

type When = FaultRule['when'];

let scene: ExportScene;
/** Whoever ended the run of the test before: the next one's victim. */
let survivor: ServiceProcess | undefined;

beforeAll(async () => {
  scene = await ExportScene.create('killed');
});
beforeEach(async () => {
  await scene.beginTest();
});
afterEach(async () => {
  await scene.endTest();
});
afterAll(async () => {
  await scene?.close();
});

const isEndOfFile: When = (request) => isUploadPart(request) && /[?&]partNumber=2\b/.test(request.path);
const never = new Promise<void>(() => undefined);

/** Kills the exporter; another one takes over. */
async function replace(victim: ServiceProcess): Promise<void> {
  await victim.kill();
  survivor = await scene.start();
}

async function theVictim(): Promise<ServiceProcess> {
  const victim = survivor ?? (await scene.start());
  survivor = undefined;
  return victim;
}

type Moment = readonly [when: When, moment: 'just before' | 'just after'];

/** One export for each, all held there. */
async function openAt(moments: readonly Moment[]): Promise<readonly SceneRun[]> {
  return await Promise.all(
    moments.map(async ([when, moment]) => {
      const fault =
        moment === 'just before' ? ({ kind: 'hold', until: never } as const) : ({ kind: 'lose-answer' } as const);
      return await scene.openUntil({ when, fault });
    }),
  );
}

describe('an exporter killed leaves runs that another one ends as if undisturbed', () => {
  const onTheWay: readonly Moment[] = [
    [isBegin, 'just after'],
    [isUploadPart, 'just after'],
    [isListing, 'just before'],
    [isCompletion, 'just before'],
    [isCompletion, 'just after'],
  ];
  const atTheEnd: readonly Moment[] = [
    [announces('.manifest.json'), 'just before'],
    [announces('.manifest.json'), 'just after'],
    [announces('.ready'), 'just before'],
    [announces('.ready'), 'just after'],
  ];
  it('while it plans, looks for names, writes files and makes them visible', async () => {
    const victim = await theVictim();
    const held = await openAt(onTheWay);
    const locked = await hold(scene.fixture.database, sql`LOCK TABLE exporter.export IN SHARE MODE`);
    const planning = await scene.open();
    await scene.somebodyWaits('%INSERT INTO exporter.export%');
    await replace(victim);
    await locked.letGo();
    for (const run of [...held, planning]) await scene.expectUndisturbed(run);
  });

  it('just before and just after its manifest and its token file become visible', async () => {
    const victim = await theVictim();
    const held = await openAt(atTheEnd);
    await replace(victim);
    for (const run of held) await scene.expectUndisturbed(run);
  });

  it('while it stores the watermark', async () => {
    const victim = await theVictim();
    const locked = await hold(scene.fixture.database, sql`LOCK TABLE exporter.watermark IN SHARE MODE`);
    const run = await scene.open();
    await scene.somebodyWaits('%INSERT INTO exporter.watermark%');
    await replace(victim);
    await locked.letGo();
    await scene.expectUndisturbed(run);
  });
});

describe('two exporters that share a run', () => {
  /** Which files are being written under leases of which process. */
  const writing = async ({ runId }: SceneRun): Promise<Readonly<Record<string, readonly number[]>>> => {
    const { rows } = await scene.fixture.database.query<{ owner: string; numbers: number[] }>(sql`
      SELECT l.owner, array_agg(p.number) AS numbers FROM exporter.part p JOIN work.lease l ON l.resource = 'unit:' || p.unit_id
      WHERE p.run_id = ${runId} AND p.state = 'writing' GROUP BY l.owner`);
    return Object.fromEntries(rows.map(({ owner, numbers }) => [owner, numbers]));
  };

  it('both write, and one ends what the other was killed in the middle of', async () => {
    await scene.endProcesses();
    survivor = undefined;
    const [victim, successor] = await Promise.all(
      ['1', '1'].map((parts) => scene.start({ MILLRACE_EXPORT_PARTS: parts, MILLRACE_EXPORT_LEASE_MS: '8000' })),
    );
    if (victim === undefined || successor === undefined) throw new Error('unreachable');
    const [first, second] = [gate(), gate()];
    const bothWrite = scene.s3.inject({ when: isEndOfFile, times: 2, fault: { kind: 'hold', until: first.opened } });
    const bothWriteAgain = scene.s3.inject({
      when: isEndOfFile,
      times: 2,
      fault: { kind: 'hold', until: second.opened },
    });
    const run = await scene.open({ columns: scene.largeColumns, splitRows: 100 });
    await bothWrite.met(2);
    first.open();
    await bothWriteAgain.met(2);
    const held = await writing(run);
    expect(Object.values(held).map((numbers) => numbers.length)).toEqual([1, 1]);
    expect(scene.storedBy(victim, run)).toHaveLength(1);
    expect(scene.storedBy(successor, run)).toHaveLength(1);
    await victim.kill();
    second.open();
    await scene.expectUndisturbed(run, 4);
    expect(scene.storedBy(victim, run)).toHaveLength(1);
    expect(scene.storedBy(successor, run).toSorted()).toEqual(
      [1, 2, 3, 4].filter((number) => !scene.storedBy(victim, run).includes(number)),
    );
    survivor = successor;
  });
});
