import { FixRows } from '../src/fix-rows/fix-rows.js';
import { rejectFile } from '../src/fix-rows/reject-file.js';
import { runRejects } from '../src/storage/rejects.js';
import { ImportHarness, outcomes, silentEvents } from './import-harness.js';

let harness: ImportHarness;

beforeEach(async () => {
  harness = await ImportHarness.create('unmatched-rows', [{ name: 'status' }, { name: 'sent', type: 'integer' }]);
});
afterEach(() => harness.close());

/** Reports of a campaign tool about people it was told of. */
const reports = (changes: Record<string, unknown> = {}) =>
  harness.goal({
    source: { bucket: harness.bucket, directory: 'in', pattern: { kind: 'wildcard', pattern: 'reports*' } },
    matching: { identifiers: [{ column: 'id', namespace: 'customerId' }], allowCreation: false },
    mappings: [
      { column: 'status', property: 'status' },
      { column: 'sent', property: 'sent', rule: 'sum' },
    ],
    ...changes,
  });

async function people(...ids: readonly string[]): Promise<void> {
  await harness.put('customers.csv', `id\n${ids.join('\n')}\n`);
  expect((await harness.run(harness.goal())).outcome).toBe('succeeded');
}

async function downloaded(runId: string): Promise<string> {
  let text = '';
  for await (const part of rejectFile(harness.database, runId)) text += part;
  return text;
}

const report = 'id,status,sent\na,ok,1\nx,"bounced, twice",2\nb,ok,1\nx,bounced,1\ny,"a ""quote""",many\nz,ok,3\n';

it('rows that match nobody go to the reject file as they stand, and count as skipped', async () => {
  harness.startWorker({ settings: { chunkLines: 2 } });
  await people('a', 'b');
  await harness.put('reports.csv', report);
  const run = await harness.run(reports());
  expect(run.counts).toMatchObject({ rowsRead: 6, updated: 2, rejected: 1, skipped: { unmatched: 3 } });
  expect(outcomes(run.counts)).toBe(6);
  const listed = await runRejects(harness.database, run.runId, { limit: 10, raw: true });
  expect(listed.filter(({ scope }) => scope === 'unmatched')).toMatchObject([
    { name: 'in/reports.csv', line: 3, code: 'unmatched', raw: 'x,"bounced, twice",2' },
    { line: 5, raw: 'x,bounced,1' },
    { line: 7, raw: 'z,ok,3' },
  ]);
  expect(await downloaded(run.runId)).toContain(
    'in/reports.csv,3,,unmatched,"no profile has the identifiers of the row, and none may be created",x,"bounced, twice",2,',
  );
  expect(run.notes.join()).not.toContain('unmatched');
});

it('are taken again once they match, each once, and stay where they do not', async () => {
  harness.startWorker();
  await people('a', 'b');
  await harness.put('reports.csv', report);
  const run = await harness.run(reports());
  await people('x', 'y');
  const fixer = new FixRows({ database: harness.database, wakeUps: harness.wakeUps, sealingKey: harness.sealingKey });
  const corrected = (await downloaded(run.runId)).replace('many', '5');
  expect(await fixer.fix(run.runId, corrected)).toMatchObject({
    rowsRead: 4,
    updated: 3,
    skipped: { unmatched: 1 },
    refused: 0,
  });
  expect(await fixer.fix(run.runId, corrected)).toMatchObject({ updated: 0, skipped: { unmatched: 1 }, refused: 3 });
  expect(await harness.profiles()).toMatchObject({
    x: { status: 'bounced', sent: 3 },
    y: { status: 'a "quote"', sent: 5 },
  });
  const recounted = (await harness.runEvents(run.runId)).findLast((event) => event.kind === 'goal-recounted');
  expect(recounted?.counts).toMatchObject({ rowsRead: 6, updated: 5, rejected: 0, skipped: { unmatched: 1 } });
});

it('are listed once, with what the file holds, where the worker died behind the last chunk', async () => {
  let died = false;
  const events = {
    ...silentEvents,
    fileFinished: (): void => {
      if (died) return;
      died = true;
      throw new Error('the worker dies here');
    },
  };
  harness.startWorker({ events });
  await harness.put('reports.csv', 'id,status,sent\nx,ok,1\n');
  const run = await harness.run(reports());
  expect(died).toBe(true);
  expect(run.counts).toMatchObject({ rowsRead: 1, skipped: { unmatched: 1 } });
  expect(await runRejects(harness.database, run.runId, { limit: 10, raw: true })).toMatchObject([{ raw: 'x,ok,1' }]);
});

it('are not sent back where they were too long to be kept whole', async () => {
  harness.startWorker();
  await harness.put('reports.csv', `id,status,sent\nx,${'l'.repeat(5000)},1\n`);
  const run = await harness.run(reports());
  await people('x');
  const fixer = new FixRows({ database: harness.database, wakeUps: harness.wakeUps, sealingKey: harness.sealingKey });
  expect(await fixer.fix(run.runId, await downloaded(run.runId))).toMatchObject({ updated: 0, stillRejected: 1 });
  expect(await harness.profiles()).toEqual({ x: {} });
});
