import { randomUUID } from 'node:crypto';
import { sql } from '@millrace/database';
import { InputError } from '@millrace/domain';
import { sendCommand } from '@millrace/job-queue';
import type { ObjectStore } from '@millrace/object-store';
import type { Exporter } from '../src/run-export/exporter.js';
import { ExportFixture } from './export-fixture.js';

describe('the watermark of a goal', () => {
  let fixture: ExportFixture;
  let ids: readonly string[];
  const announced = { manifests: [{ kind: 'millrace' }, { kind: 'pega' }], tokenFile: '%FILE_NAME%.ready', parts: 2 };
  const goal = () => fixture.goal({ ...announced, fileName: 'w_%DATETIME%' });

  beforeAll(async () => {
    fixture = await ExportFixture.create('watermark');
    ids = await fixture.addProfiles(
      Array.from({ length: 20 }, (_, index) => ({ email: `u${index}@x.test`, points: index })),
    );
  });

  afterEach(async () => {
    await fixture.stopWorkers();
  });

  afterAll(async () => {
    await fixture.close();
  });

  const deliveredRun = async (goalId: string): Promise<string | undefined> =>
    (
      await fixture.database.query<{ run_id: string }>(
        sql`SELECT run_id FROM exporter.watermark WHERE goal_id = ${goalId}`,
      )
    ).rows[0]?.run_id;

  const withStore = (change: (store: ObjectStore) => Partial<ObjectStore>): Exporter =>
    fixture.exporter({
      openTarget: ({ endpoint }) => {
        const store = fixture.store();
        return { endpoint, store: { ...store, ...change(store) } };
      },
    });

  /** Delivered once, with a change since. */
  const prepare = async (points: number): Promise<{ readonly goalId: string; readonly first: string }> => {
    const goalId = randomUUID();
    fixture.startWorker();
    await fixture.run(goalId, goal());
    await fixture.stopWorkers();
    await fixture.setProperty(ids[1] ?? '', 'points', points);
    const first = await deliveredRun(goalId);
    if (first === undefined) throw new Error('nothing was delivered');
    return { goalId, first };
  };

  const expectStillDue = async (goalId: string, points: number): Promise<void> => {
    await fixture.stopWorkers();
    fixture.startWorker();
    const { counts } = await fixture.run(goalId, goal());
    expect({ mode: counts.mode, rows: await fixture.rows(counts) }).toEqual({
      mode: 'delta',
      rows: [`u1@x.test,${points}`],
    });
  };

  it('moves only when the last object, the manifests and the token are there', async () => {
    const { goalId, first } = await prepare(100);
    const seen: (readonly [string, string | undefined])[] = [];
    fixture.startWorker(
      withStore((store) => ({
        completeUpload: async (...given) => {
          await store.completeUpload(...given);
          seen.push([given[1].split('.').at(-1) ?? '', await deliveredRun(goalId)]);
        },
      })),
    );
    const { runId } = await fixture.open(goalId, goal());
    await fixture.outcome(runId);
    expect(seen).toEqual(['csv', 'csv', 'json', 'xml', 'ready'].map((name) => [name, first]));
    expect(await deliveredRun(goalId)).toBe(runId);
  });

  it.each(['json', 'xml', 'ready'])('stays when the last of it, *.%s, cannot be written', async (last) => {
    const { goalId, first } = await prepare(200);
    fixture.startWorker(
      withStore((store) => ({
        completeUpload: async (...given) => {
          if (given[1].endsWith(last)) throw new InputError('access-denied', 's3:PutObject: not allowed');
          await store.completeUpload(...given);
        },
      })),
    );
    expect(await fixture.run(goalId, goal())).toMatchObject({ outcome: 'failed', error: { code: 'access-denied' } });
    expect(await deliveredRun(goalId)).toBe(first);
    await expectStillDue(goalId, 200);
  });

  it('stays when the run is cancelled while its files are written', async () => {
    const { goalId, first } = await prepare(300);
    let reached: () => void = () => undefined;
    const writing = new Promise<void>((resolve) => (reached = resolve));
    fixture.startWorker(
      withStore((store) => ({
        startUpload: async (...given) => {
          const upload = await store.startUpload(...given);
          return {
            uploadId: upload.uploadId,
            write: async (source) => {
              reached();
              await new Promise((resolve) => source.once('close', resolve));
              return await upload.write(source);
            },
            complete: async () => upload.complete(),
            abort: async () => upload.abort(),
          };
        },
      })),
    );
    const { runId } = await fixture.open(goalId, goal());
    await writing;
    await sendCommand(fixture.database, { kind: 'cancel-run', runId });
    expect((await fixture.outcome(runId)).outcome).toBe('cancelled');
    expect(await deliveredRun(goalId)).toBe(first);
    await expectStillDue(goalId, 300);
  });
});
