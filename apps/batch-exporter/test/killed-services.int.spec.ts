import { sql } from '@millrace/database';
import { sendCommand } from '@millrace/job-queue';
import {
  gate,
  type PrivatePostgres,
  type PrivateRedis,
  type ServiceProcess,
  startPrivatePostgres,
  startPrivateRedis,
  waitFor,
} from '@millrace/testing';
import { ExportScene, type SceneRun } from './export-scene.js';
import { announces, isUploadPart } from './s3-target.js';

let postgres: PrivatePostgres;
let redis: PrivateRedis;
let scene: ExportScene;
let exporter: ServiceProcess;

beforeAll(async () => {
  [postgres, redis] = await Promise.all([startPrivatePostgres(), startPrivateRedis()]);
  scene = await ExportScene.create('killed_services', { server: postgres.url, redisUrl: redis.url });
  exporter = await scene.start();
});
beforeEach(async () => {
  await scene.beginTest();
});
afterEach(async () => {
  await scene.endTest();
});
afterAll(async () => {
  await scene?.close();
  await Promise.all([postgres?.stop(), redis?.stop()]);
});

const never = new Promise<void>(() => undefined);

/** Opens an export and waits until the first pieces of its one file are on their way, and more than fits anywhere is not read yet. */
async function openLarge(until: Promise<void>): Promise<SceneRun> {
  const columns = [...scene.largeColumns, { header: 'again', source: { kind: 'property', property: 'person.name' } }];
  const fault = { kind: 'hold', until } as const;
  const run = await scene.openUntil({ when: isUploadPart, times: 3, fault }, { columns, parts: 1 });
  await waitFor(async () => (await copies()) > 0, 60_000, 'a COPY under way');
  return run;
}

async function copies(): Promise<number> {
  return (await scene.fixture.database.query(sql`SELECT FROM pg_stat_progress_copy`)).rowCount;
}

describe('an exporter process', () => {
  it('delivers what PostgreSQL was killed in the middle of sending', async () => {
    const held = gate();
    const run = await openLarge(held.opened);
    await postgres.crash();
    held.open();
    await postgres.start();
    await waitFor(
      async () => (await scene.fixture.database.query(sql`SELECT 1`)).rowCount === 1,
      120_000,
      'the recovery',
    );
    await scene.expectUndisturbed(run, 1);
    expect(exporter.isAlive).toBe(true);
  });

  it('does not miss a Redis that is killed while it writes, nor one that comes back empty', async () => {
    const held = gate();
    const first = await openLarge(held.opened);
    await redis.kill();
    held.open();
    await scene.expectUndisturbed(first, 1);

    const second = gate();
    const writing = await scene.openUntil({
      when: isUploadPart,
      fault: { kind: 'hold', until: second.opened },
    });
    await redis.start();
    second.open();
    await scene.expectUndisturbed(writing);
    await scene.expectUndisturbed(await scene.open());
    expect(exporter.isAlive).toBe(true);
  });

  const cancel = async ({ runId }: SceneRun): Promise<void> =>
    sendCommand(scene.fixture.database, { kind: 'cancel-run', runId });

  it('stops writing files when the run is cancelled, whatever it waits for, and nothing remains', async () => {
    const run = await openLarge(never);
    await cancel(run);
    expect(await scene.fixture.outcome(run.runId, 120_000)).toMatchObject({ outcome: 'cancelled' });
    expect(await scene.objects(run.directory)).toEqual([]);
    expect(await scene.openUploads(run.directory)).toEqual([]);
    await waitFor(async () => (await copies()) === 0, 60_000, 'the end of the COPY');
    expect(
      (await scene.fixture.database.query(sql`SELECT FROM exporter.watermark WHERE run_id = ${run.runId}`)).rowCount,
    ).toBe(0);
  });

  it('refuses a cancel of what a consumer may have read, also where it took that over', async () => {
    const run = await scene.openUntil({ when: announces('.manifest.json'), fault: { kind: 'lose-answer' } });
    await cancel(run);
    await exporter.kill();
    exporter = await scene.start();
    await scene.expectUndisturbed(run);
  });
});
