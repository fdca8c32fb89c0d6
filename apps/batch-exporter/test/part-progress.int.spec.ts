import { randomUUID } from 'node:crypto';
import { sql } from '@millrace/database';
import { waitFor } from '@millrace/testing';
import { copiedRows, readParts, recordProgress } from '../src/storage/parts.js';
import { ExportFixture } from './export-fixture.js';

describe('the progress of a part', () => {
  let fixture: ExportFixture;

  beforeAll(async () => {
    fixture = await ExportFixture.create('part_progress');
    await fixture.addProfiles([{ email: 'a@x.test' }, { email: 'b@x.test' }]);
    fixture.startWorker();
  });

  afterAll(async () => {
    await fixture.close();
  });

  it('changes nothing of a file that is stored, however far ahead of it the COPY is', async () => {
    const goalId = randomUUID();
    const { runId } = await fixture.open(goalId);
    await fixture.outcome(runId);
    const key = { runId, goalId };
    const [part] = await readParts(fixture.database, key);
    expect(part?.rows).toBe(2);
    const reading = fixture.database.transaction(async (tx) => {
      const { rows: own } = await tx.query<{ pid: number }>(sql`SELECT pg_backend_pid() AS pid`);
      const backendPid = own[0]?.pid ?? 0;
      const copy = tx.copyOut(sql`COPY (SELECT repeat('x', 1000) FROM generate_series(1, 100000)) TO STDOUT`);
      await waitFor(
        async () =>
          (
            await fixture.database.query(
              sql`SELECT FROM pg_stat_progress_copy WHERE pid = ${backendPid} AND tuples_processed > 10`,
            )
          ).rowCount > 0,
      );
      const { number = 0, uploadId = '' } = part ?? {};
      const rows = await copiedRows(fixture.database, backendPid);
      expect(rows).toBeGreaterThan(10);
      expect(await recordProgress(fixture.database, key, { number, uploadId, rows })).toMatchObject({
        exportState: 'done',
        rows: 2,
      });
      copy.destroy();
    });
    await expect(reading).rejects.toThrow(/not read to its end/);
    expect((await readParts(fixture.database, key))[0]?.rows).toBe(2);
  });
});
