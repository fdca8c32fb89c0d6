import { gzipSync } from 'node:zlib';
import { sql } from '@millrace/database';
import { awsAccess, FaultProxy, waitFor } from '@millrace/testing';
import { ImportHarness, outcomes } from './import-harness.js';

let harness: ImportHarness;
let s3: FaultProxy;

beforeAll(async () => {
  harness = await ImportHarness.create('replaced-object', [{ name: 'version' }]);
  s3 = await FaultProxy.start(awsAccess('s3').endpoint);
  harness.s3Endpoint = s3.url;
  harness.startWorker();
});
afterEach(() => s3.clear());
afterAll(async () => {
  await s3.stop();
  await harness.close();
});

const rows = 3000;
/** Rows of a thousand bytes each: both versions have the same size, and rows at the same places. */
function fileOf(prefix: string, version: 'old' | 'new'): string {
  const filler = 'x'.repeat(1000);
  return `id,version,filler\n${Array.from({ length: rows }, (_, row) => `${prefix}-${row},${version},${filler}\n`).join('')}`;
}

const goalFor = (directory: string, changes: Record<string, unknown> = {}) =>
  harness.goal({
    source: { bucket: harness.bucket, directory, pattern: { kind: 'exact', name: 'people.csv' } },
    mappings: [{ column: 'version', property: 'version' }],
    ...changes,
  });

/** Which versions of the prefix's rows are stored. */
async function versionsOf(prefix: string): Promise<readonly unknown[]> {
  const profiles = Object.entries(await harness.profiles()).filter(([id]) => id.startsWith(`${prefix}-`));
  return [...new Set(profiles.map(([, { version }]) => version))];
}

const reading = (name: string) => ({
  when: ({ method, path }: { readonly method: string; readonly path: string }) =>
    method === 'GET' && path.includes(name) && !path.includes('list-type'),
});

/** A gate that a proxy waits at; `reached` resolves when something has come to it. */
function gateAt(name: string) {
  let open = (): void => undefined;
  let arrive = (): void => undefined;
  const until = new Promise<void>((resolve) => (open = resolve));
  const reached = new Promise<void>((resolve) => (arrive = resolve));
  const when = (request: { readonly method: string; readonly path: string }): boolean => {
    const matches = reading(name).when(request);
    if (matches) arrive();
    return matches;
  };
  return { when, until, reached, open: () => open() };
}

describe('an object replaced', () => {
  it('between the listing and the reading fails its run, and the next run takes the new one', async () => {
    const put = (version: 'old' | 'new'): Promise<void> =>
      harness.client.put(harness.bucket, 'listed/people.csv', fileOf('listed', version));
    await put('old');
    const gate = gateAt('people.csv');
    s3.inject({ when: gate.when, fault: { kind: 'hold', until: gate.until } });
    const open = await harness.open(goalFor('listed'));
    await gate.reached;
    await put('new');
    gate.open();
    const run = await harness.finished(open);
    expect(run).toMatchObject({ outcome: 'failed', error: { code: 'object-changed' } });
    expect(await versionsOf('listed')).toEqual([]);
    expect(await harness.run(goalFor('listed'))).toMatchObject({ outcome: 'succeeded', counts: { created: rows } });
    expect(await versionsOf('listed')).toEqual(['new']);
  });

  it.each(['plain', 'gzipped'] as const)(
    'while a broken connection to it is mended fails its run, and never mixes the two (%s)',
    async (form) => {
      const directory = `mended-${form}`;
      const put = async (version: 'old' | 'new'): Promise<void> => {
        const text = fileOf(directory, version);
        const content = form === 'plain' ? text : gzipSync(text, { level: 0 });
        await harness.client.put(harness.bucket, `${directory}/people.csv`, content);
      };
      await put('old');
      s3.inject({ ...reading('people.csv'), fault: { kind: 'truncate', afterBytes: 1_000_000 } });
      const gate = gateAt('people.csv');
      s3.inject({ when: gate.when, fault: { kind: 'hold', until: gate.until } });
      const open = await harness.open(goalFor(directory));
      await gate.reached;
      await put('new');
      gate.open();
      const run = await harness.finished(open);
      expect(run).toMatchObject({ outcome: 'failed', error: { code: 'object-changed' } });
      expect(outcomes(run.counts)).toBe(run.counts.rowsRead);
      expect(await versionsOf(directory)).toEqual([]);
      expect(await harness.tables()).toEqual([]);
      expect(await harness.run(goalFor(directory))).toMatchObject({ outcome: 'succeeded', counts: { created: rows } });
      expect(await versionsOf(directory)).toEqual(['new']);
    },
  );

  it('while its connection stands is read to its end as it was', async () => {
    await harness.client.put(harness.bucket, 'stalled/people.csv', fileOf('stalled', 'old'));
    const gate = gateAt('people.csv');
    s3.inject({ when: gate.when, fault: { kind: 'stall', afterBytes: 1_000_000, until: gate.until } });
    const open = await harness.open(goalFor('stalled', { afterImport: 'done-suffix' }));
    await gate.reached;
    await waitFor(
      async () =>
        (
          await harness.database.query(sql`
            SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
              AND query LIKE 'COPY "importer"."stage_%' AND wait_event = 'ClientRead'`)
        ).rowCount > 0,
      60_000,
      'the file to be half staged',
    );
    await harness.client.put(harness.bucket, 'stalled/people.csv', fileOf('stalled', 'new'));
    gate.open();
    const run = await harness.finished(open);
    expect(run).toMatchObject({ outcome: 'succeeded', counts: { created: rows } });
    expect(await versionsOf('stalled')).toEqual(['old']);
    // The new one was not read: it is neither marked nor deleted, and the next run takes it.
    expect(run.notes.join('\n')).toContain('stalled/people.csv');
    expect((await harness.client.list(harness.bucket, 'stalled/')).map(({ key }) => key)).toEqual([
      'stalled/people.csv',
    ]);
    expect(await harness.run(goalFor('stalled'))).toMatchObject({ outcome: 'succeeded', counts: { updated: rows } });
    expect(await versionsOf('stalled')).toEqual(['new']);
  });

  it('as one of several linked files fails all of them', async () => {
    const put = (name: string, content: string): Promise<void> =>
      harness.client.put(harness.bucket, `linked/${name}`, content);
    await put('people.csv', 'id,version\nlinked-1,old\n');
    await put('orders.csv', 'order,id,at\no1,linked-1,2026-01-01\n');
    const goal = goalFor('linked', {
      linked: [{ alias: 'orders', pattern: { kind: 'exact', name: 'orders.csv' }, column: 'id', parentColumn: 'id' }],
      events: [{ file: 'orders', type: 'order', idColumn: 'order', occurredAtColumn: 'at' }],
    });
    const gate = gateAt('orders.csv');
    s3.inject({ when: gate.when, fault: { kind: 'hold', until: gate.until } });
    const open = await harness.open(goal);
    await gate.reached;
    await put('orders.csv', 'order,id,at\no2,linked-1,2026-02-02\n');
    gate.open();
    const run = await harness.finished(open);
    expect(run).toMatchObject({ outcome: 'failed', error: { code: 'object-changed' } });
    expect(await versionsOf('linked')).toEqual([]);
    expect(await harness.run(goal)).toMatchObject({ outcome: 'succeeded', counts: { created: 1, events: 1 } });
  });
});
