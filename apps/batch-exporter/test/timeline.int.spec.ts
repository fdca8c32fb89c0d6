import { randomUUID } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { sql } from '@millrace/database';
import type { ExportCounts } from '@millrace/domain';
import { createEventType } from '@millrace/profile-store';
import { ExportFixture } from './export-fixture.js';

interface TestEvent {
  readonly type: string;
  readonly id: string;
  readonly profile: string;
  readonly at: string;
  readonly properties?: object;
  readonly lists?: object;
}

describe('the timeline of exported profiles', () => {
  let fixture: ExportFixture;
  let ids: readonly string[];
  let names = 0;

  beforeAll(async () => {
    fixture = await ExportFixture.create('timeline');
    await fixture.database.transaction((tx) =>
      createEventType(tx, fixture.workspaceId, {
        code: 'visit',
        properties: [
          { name: 'page', type: 'string' },
          { name: 'paid', type: 'boolean' },
        ],
        lists: [],
      }),
    );
    ids = await fixture.addProfiles([
      { email: 'a@x.test', points: 1 },
      { email: 'b@x.test', points: 2 },
      // Without a mapped value: not exported, and so are its events.
      { 'person.name': 'hidden' },
    ]);
    await addEvents([
      {
        type: 'order',
        id: 'o1',
        profile: ids[0]!,
        at: '2026-01-31T23:30:00.123Z',
        properties: { currency: 'EUR', total: 12.5, status: 'said "paid", twice' },
        lists: {
          products: [
            { productId: 'p1', name: 'Tea; green', quantity: 2, unitPrice: 1.25 },
            { productId: 'p2', quantity: 1, unitPrice: 10, discount: 0.1 },
          ],
        },
      },
      { type: 'order', id: 'o2', profile: ids[1]!, at: '2026-02-01T00:00:00Z', properties: { total: 3 } },
      { type: 'order', id: 'o3', profile: ids[2]!, at: '2026-02-01T00:00:00Z', properties: { total: 4 } },
      { type: 'visit', id: 'v1', profile: ids[0]!, at: '2026-03-01T00:00:00Z', properties: { page: '/', paid: true } },
    ]);
    fixture.startWorker();
  });

  afterAll(async () => {
    await fixture.close();
  });

  const addEvents = async (events: readonly TestEvent[]): Promise<void> => {
    await fixture.database.query(sql`
      INSERT INTO profile.event (event_type_id, id, profile_id, occurred_at, properties, lists)
      SELECT t.id, e->>'id', (e->>'profile')::uuid, (e->>'at')::timestamptz, coalesce(e->'properties', '{}'), coalesce(e->'lists', '{}')
      FROM jsonb_array_elements(${JSON.stringify(events)}::jsonb) AS e JOIN profile.event_type t ON t.code = e->>'type'`);
  };

  interface Files {
    readonly counts: ExportCounts;
    /** Lines by what follows the common name, data rows sorted. */
    readonly lines: Readonly<Record<string, readonly string[]>>;
  }

  const run = async (changes: object = {}, goalId: string = randomUUID()): Promise<Files> => {
    names += 1;
    const fileName = `n${names}`;
    const timeline = 'timeline' in changes ? changes.timeline : {};
    const goal = fixture.goal({ fileName, timeline, ...changes });
    const { outcome, counts, error } = await fixture.run(goalId, goal);
    expect({ outcome, error }).toEqual({ outcome: 'succeeded', error: undefined });
    const lines: Record<string, readonly string[]> = {};
    for (const { name, rows } of counts.files) {
      const [header = '', ...data] = (await fixture.read(name)).toString().split('\n').slice(0, -1);
      lines[name.slice(`out/${fileName}`.length)] = [header, ...data.sort()];
      expect(rows).toBe(data.length);
    }
    return { counts, lines };
  };

  it('stands in one file per event type and one per nested list, joined by ids, headers by the definition', async () => {
    const { counts, lines } = await run();
    expect(lines).toEqual({
      '.csv': ['E-mail,Points', 'a@x.test,1', 'b@x.test,2'],
      '_order.csv': [
        'profile_id,event_id,occurred_at,total,currency,status',
        `${ids[0]},o1,2026-01-31T23:30:00.123Z,12.5,EUR,"said ""paid"", twice"`,
        `${ids[1]},o2,2026-02-01T00:00:00.000Z,3,,`,
      ],
      '_order_products.csv': [
        'event_id,position,productId,name,unitPrice,quantity,discount',
        'o1,1,p1,Tea; green,1.25,2,',
        'o1,2,p2,,10,1,0.1',
      ],
      '_visit.csv': ['profile_id,event_id,occurred_at,page,paid', `${ids[0]},v1,2026-03-01T00:00:00.000Z,/,true`],
    });
    expect(counts).toMatchObject({ rows: 2, events: 3 });
    const manifest = await fixture.manifest(counts);
    expect(manifest.rows).toBe(7);
    expect(manifest.files.map(({ name, rows }) => [name, rows])).toEqual([
      [`n${names}.csv`, 2],
      [`n${names}_order.csv`, 2],
      [`n${names}_order_products.csv`, 2],
      [`n${names}_visit.csv`, 1],
    ]);
  });

  it('holds one type and one period where the goal says so, its end left out', async () => {
    const period = { from: '2026-02-01T00:00:00+01:00', until: '2026-02-01T00:00:00Z' };
    const { lines } = await run({ timeline: { types: ['order'], ...period } });
    expect(Object.keys(lines)).toEqual(['.csv', '_order.csv', '_order_products.csv']);
    expect(lines['_order.csv']?.slice(1).map((line) => line.split(',')[1])).toEqual(['o1']);
    const later = await run({ timeline: { types: ['order'], from: period.until } });
    expect(later.lines['_order.csv']?.slice(1).map((line) => line.split(',')[1])).toEqual(['o2']);
  });

  it('has no file of a type without events, or one with the header where the goal wants that', async () => {
    const timeline = { from: '2026-02-15T00:00:00Z' };
    expect(Object.keys((await run({ timeline })).lines)).toEqual(['.csv', '_visit.csv']);
    const { lines } = await run({ timeline, emptyResult: 'header-only' });
    expect(lines['_order.csv']).toEqual(['profile_id,event_id,occurred_at,total,currency,status']);
    expect(await fixture.openUploads()).toEqual([]);
  });

  it('follows the dialect', async () => {
    const csv = {
      delimiter: ';',
      decimalSeparator: ',',
      trueWords: ['ja'],
      falseWords: ['nein'],
      timestampPattern: "dd.MM.yyyy HH:mm:ss.SSS XXX 'Uhr'",
      timeZone: 'Europe/Berlin',
    };
    for (const lineEnding of ['lf', 'crlf']) {
      const { lines } = await run({ csv: { ...csv, lineEnding } });
      const text = (name: string): string => (lines[name] ?? []).join('\n').replaceAll('\r', '');
      expect(text('_order.csv')).toContain(`;o1;01.02.2026 00:30:00.123 +01:00 Uhr;12,5;EUR;`);
      expect(text('_visit.csv')).toContain(';ja');
    }
  });

  it('is compressed as the profiles are', async () => {
    names += 1;
    const goal = fixture.goal({ fileName: `n${names}`, timeline: { types: ['visit'] }, compression: 'gzip' });
    const { counts } = await fixture.run(randomUUID(), goal);
    const file = counts.files.find(({ name }) => name.endsWith('_visit.csv.gz'));
    expect(gunzipSync(await fixture.read(file?.name ?? '')).toString()).toContain(',v1,');
  });

  it.each([
    ['rows', { splitRows: 1 }],
    ['bytes', { splitBytes: 1024 }],
  ])('is cut by %s into files with the same header', async (_name, split) => {
    const many = Array.from({ length: 30 }, (_, index) => ({
      type: 'visit',
      id: `cut${Object.keys(split)[0]}${index}`,
      profile: ids[1]!,
      at: '2025-01-01T00:00:00Z',
      properties: { page: 'x'.repeat(100) },
    }));
    await addEvents(many);
    const { lines, counts } = await run({ ...split, timeline: { types: ['visit'] } });
    const files = Object.entries(lines).filter(([name]) => name.startsWith('_visit'));
    expect(files.length).toBeGreaterThan(3);
    const numbers = files.map(([name]) => name);
    expect(numbers).toEqual(files.map((_, index) => `_visit${index === 0 ? '' : `_${index + 1}`}.csv`));
    expect(new Set(files.map(([, [header]]) => header)).size).toBe(1);
    expect(files.flatMap(([, [, ...rows]]) => rows)).toHaveLength(31);
    const most = 'splitBytes' in split ? split.splitBytes : Infinity;
    for (const file of counts.files) expect(file.bytes).toBeLessThanOrEqual(most);
    await fixture.database.query(sql`DELETE FROM profile.event WHERE id LIKE 'cut%'`);
  });

  it('belongs in a delta to the profiles that are due; events alone make none due unless the goal says so', async () => {
    const [quiet, asked] = [randomUUID(), randomUUID()];
    const counting = { timeline: { countsAsChange: true } };
    await run({}, quiet);
    await run(counting, asked);
    await addEvents([{ type: 'visit', id: 'v2', profile: ids[1]!, at: '2026-03-02T00:00:00Z' }]);
    expect((await run({}, quiet)).lines).toEqual({});
    const told = await run(counting, asked);
    expect(told.lines['.csv']).toEqual(['E-mail,Points', 'b@x.test,2']);
    expect(told.lines['_order.csv']?.slice(1).map((line) => line.split(',')[1])).toEqual(['o2']);
    expect(told.lines['_visit.csv']?.slice(1).map((line) => line.split(',')[1])).toEqual(['v2']);
    await fixture.setProperty(ids[0]!, 'points', 5);
    const changed = await run({}, quiet);
    expect(changed.lines['.csv']).toEqual(['E-mail,Points', 'a@x.test,5']);
    expect(changed.lines['_visit.csv']?.slice(1).map((line) => line.split(',')[1])).toEqual(['v1']);
  });

  it('runs in full when the timeline asked for is another one', async () => {
    const goalId = randomUUID();
    await run({ timeline: undefined }, goalId);
    expect((await run({}, goalId)).counts.reason).toMatch(/changed since the last export/);
  });

  it('has names of its own, which nothing else may take', async () => {
    const goal = fixture.goal({ fileName: 'twice', timeline: { fileName: '%EVENT_TYPE%' } });
    expect((await fixture.run(randomUUID(), goal)).counts.files.map(({ name }) => name)).toContain('out/order.csv');
    expect(
      await fixture.run(randomUUID(), fixture.goal({ fileName: 'other', timeline: { fileName: '%EVENT_TYPE%' } })),
    ).toMatchObject({
      outcome: 'failed',
      error: { code: 'object-exists' },
    });
  });
});
