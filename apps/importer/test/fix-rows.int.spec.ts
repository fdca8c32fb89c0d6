import { sql } from '@millrace/database';
import type { ImportProfilesGoal } from '@millrace/domain';
import { FixRows } from '../src/fix-rows/fix-rows.js';
import { rejectFile } from '../src/fix-rows/reject-file.js';
import { ImportHarness, outcomes } from './import-harness.js';

let harness: ImportHarness;
let fixer: FixRows;
beforeAll(async () => {
  harness = await ImportHarness.create('fix-rows', [
    { name: 'name' },
    { name: 'points', type: 'decimal' },
    { name: 'born', type: 'date' },
  ]);
  harness.startWorker();
  const { database, wakeUps, sealingKey } = harness;
  fixer = new FixRows({ database, wakeUps, sealingKey });
});
afterAll(() => harness.close());

let directory = 0;
async function imported(content: string, changes: Record<string, unknown> = {}) {
  directory += 1;
  const key = `d${directory}/c.csv`;
  await harness.client.put(harness.bucket, key, content);
  const goal: ImportProfilesGoal = harness.goal({
    source: { bucket: harness.bucket, directory: `d${directory}`, pattern: { kind: 'exact', name: 'c.csv' } },
    mappings: [
      { column: 'name', property: 'name' },
      { column: 'points', property: 'points', rule: 'sum' },
      { column: 'born', property: 'born' },
    ],
    rejectLimit: {},
    ...changes,
  });
  return { key, goal, run: await harness.run(goal) };
}

async function download(runId: string): Promise<string> {
  let text = '';
  for await (const part of rejectFile(harness.database, runId)) text += part;
  return text;
}

async function recounted(runId: string): Promise<Record<string, unknown> | undefined> {
  const events = (await harness.runEvents(runId)).filter((event) => event.kind === 'goal-recounted');
  return events.at(-1)?.counts;
}

const content =
  'id;name;points;born;password\nfix-1;Ann;1;2000-01-01;geheim\nfix-2;"B;ob";2;31.12.2000;geheim\n;Nobody;3;;x\nfix-3;Cid;x;NULL;\nfix-4;Dan\n';
const semicolons = { csv: { delimiter: ';', nullWords: ['NULL'] } };

describe('the reject file', () => {
  it('says where and why, shows rows by their columns, and keeps secrets back', async () => {
    const { run, key } = await imported(content, semicolons);
    expect(run.counts).toMatchObject({ rowsRead: 5, created: 1, rejected: 4 });
    const lines = (await download(run.runId)).trimEnd().split('\n');
    expect(lines).toEqual([
      '#file,#line,#column,#code,#reason,id,name,points,born,password,#raw',
      expect.stringMatching(new RegExp(`^${key},3,born,bad-value,.*,fix-2,B;ob,2,31.12.2000,\\[redacted\\],$`)),
      expect.stringMatching(new RegExp(`^${key},4,.*,,Nobody,3,,\\[redacted\\],$`)),
      expect.stringMatching(new RegExp(`^${key},5,points,bad-value,.*,fix-3,Cid,x,,,$`)),
      expect.stringMatching(new RegExp(`^${key},6,.*too-few-fields,.*,fix-4,Dan,,,,$`)),
    ]);
  });

  it('shows a row that cannot be split as it stood in the file', async () => {
    const { run } = await imported('id,name,points,born\n1,"a"b,1,\n2,"open,1,\n');
    expect((await download(run.runId)).split('\n')[1]).toMatch(/,,,,,"1,""a""b,1,"$/);
  });
});

describe('fixed rows', () => {
  it('move from rejected to what becomes of them, each line once', async () => {
    const { run, goal, key } = await imported(content.replaceAll('fix-', 'own-'), semicolons);
    const sent = (
      '#file,#line,#column,#code,#reason,id,name,points,born,password,#raw\n' +
      'KEY,3,born,,,own-2,"B;ob",2,2000-12-31,,\n' +
      'KEY,5,,,,own-3,Cid,still wrong,,,\n' +
      'KEY,6,,,,own-1,Ann,0.5,,,\n' +
      'KEY,2,,,,own-1,Ann,100,,,\n' +
      'KEY,3,,,,own-2,Twice,2,,,\n' +
      'KEY,4,,,,own-9,Nobody,3,,[redacted],\n' +
      'other.csv,4,,,,own-9,Nobody,3,,,\n' +
      'KEY,,,,,own-9,Nobody,3,,,\n'
    ).replaceAll('KEY', key);
    const result = await fixer.fix(run.runId, sent);
    expect(result).toMatchObject({ rowsRead: 8, created: 1, updated: 1, stillRejected: 1, refused: 5 });
    expect(result.problems.map(({ line, code }) => [line, code])).toEqual([
      [3, 'bad-value'],
      [5, 'line-not-rejected'],
      [6, 'line-twice'],
      [7, 'still-redacted'],
      [8, 'no-such-file'],
      [9, 'no-line'],
    ]);
    expect(result.problems[1]?.message).toContain(`line 2 of ${key}`);
    expect(await harness.profiles()).toMatchObject({
      'own-1': { name: 'Ann', points: 1.5 },
      'own-2': { name: 'B;ob', points: 2, born: '2000-12-31' },
    });
    const rows = { created: 2, updated: 1, rejected: 2, profilesCreated: 2, profilesUpdated: 1 };
    const counts = { ...run.counts, ...rows, fieldsMapped: 9, fieldsWithValue: 8, fieldsEmpty: 1 };
    expect(await recounted(run.runId)).toEqual(counts);
    expect(outcomes(counts)).toBe(counts.rowsRead);
    expect(await harness.tables()).toEqual([]);

    const again = await fixer.fix(run.runId, sent);
    expect(again).toMatchObject({ created: 0, updated: 0, stillRejected: 1, refused: 7 });
    expect(await harness.profiles()).toMatchObject({ 'own-1': { points: 1.5 } });
    expect((await download(run.runId)).split('\n')).toHaveLength(4);
    expect((await harness.run(goal)).counts).toMatchObject({ filesSkipped: 1, rowsRead: 0 });
  });

  it('are taken once when they are sent twice at the same time', async () => {
    const { run, key } = await imported('id,name,points,born\nrace-1,Ann,x,\n');
    const sent = `#file,#line,#column,#code,#reason,id,name,points,born\n${key},2,,,,race-1,Ann,1,\n`;
    const results = await Promise.all(Array.from({ length: 4 }, () => fixer.fix(run.runId, sent)));
    expect(results.map(({ created }) => created).toSorted((left, right) => left - right)).toEqual([0, 0, 0, 1]);
    expect(await harness.profiles()).toMatchObject({ 'race-1': { points: 1 } });
    expect(await recounted(run.runId)).toMatchObject({ created: 1, rejected: 0 });
  });

  it('come back from the downloaded file itself, and from a spreadsheet with semicolons', async () => {
    const { run } = await imported('id,name,points,born\nsheet-1,Ann,1,x\nsheet-2,"say ""x""",2,x\n');
    const fixed = (await download(run.runId)).replaceAll(/,x(?=,\n)/g, ',2001-02-03');
    expect(await fixer.fix(run.runId, fixed)).toMatchObject({ created: 2, refused: 0 });
    const { run: other, key } = await imported('id,name,points,born\nsheet-3,Ann,1,x\n');
    const sheet = `\ufeff#file;#line;#column;#code;#reason;id;name;points;born;#raw\r\n${key};2;born;;;sheet-3;Ann;1;2001-02-03;\r\n`;
    expect(await fixer.fix(other.runId, sheet)).toMatchObject({ created: 1 });
    expect(await harness.profiles()).toMatchObject({
      'sheet-2': { name: 'say "x"', born: '2001-02-03' },
      'sheet-3': { born: '2001-02-03' },
    });
  });

  it('follow the goal as it was, its events and matching included', async () => {
    const events = [{ file: 'root', type: 'order', idColumn: 'order', occurredAtColumn: 'at' }];
    const { run, key } = await imported(
      'id,name,points,born,order,at\n,Ann,1,,o1,2024-01-01\nev-2,Bob,x,,o2,2024-01-01\n',
      {
        events,
        matching: { identifiers: [{ column: 'id', namespace: 'customerId' }], allowCreation: false },
      },
    );
    const head = '#file,#line,#column,#code,#reason,id,name,points,born,order,at\n';
    const sent = `${head}${key},2,,,,fix-1,Ann,1,,o1,2024-01-01\n${key},3,,,,ev-2,Bob,1,,o2,2024-01-01\n`;
    expect(await fixer.fix(run.runId, sent)).toMatchObject({ updated: 1, skipped: { unmatched: 1 } });
    const { rows } = await harness.database.query(sql`SELECT FROM profile.event WHERE id = 'o1'`);
    expect(rows).toHaveLength(1);
    expect(await recounted(run.runId)).toMatchObject({ rejected: 0, updated: 1, skipped: { unmatched: 1 }, events: 1 });
  });

  it('are refused where there is nothing to fix', async () => {
    const head = '#file,#line,#column,#code,#reason,id\n';
    await expect(fixer.fix('00000000-0000-7000-8000-000000000000', head)).rejects.toMatchObject({
      code: 'run-not-found',
    });
    const { run, goal } = await imported('id,name,points,born\nno-1,Ann,1,\n');
    await expect(fixer.fix(run.runId, 'id,name\n1,Ann\n')).rejects.toMatchObject({ code: 'not-a-reject-file' });
    expect(await fixer.fix(run.runId, head)).toMatchObject({ rowsRead: 0, refused: 0 });
    const dry = await harness.run({ ...goal, badValue: 'reject-field' }, { dryRun: true, repeatSums: true });
    await expect(fixer.fix(dry.runId, head)).rejects.toMatchObject({ code: 'dry-run-conflict' });
    const { run: failed, key } = await imported('id,name,points,born\n,Ann,1,\n', { rejectLimit: { rows: 0 } });
    expect(failed.outcome).toBe('failed');
    expect(await fixer.fix(failed.runId, `${head}${key},2,,,,x\n`)).toMatchObject({
      refused: 1,
      problems: [{ code: 'file-not-imported' }],
    });
  });
});
