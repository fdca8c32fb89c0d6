import { randomUUID } from 'node:crypto';
import { sql } from '@millrace/database';
import type { ExportCounts } from '@millrace/domain';
import {
  addGroupProperty,
  buildSegments,
  createEventType,
  createGroupType,
  createSegment,
  ingestBatch,
  loadCatalogue,
  putGroup,
  putLifecycle,
} from '@millrace/profile-store';
import { ExportFixture } from './export-fixture.js';

/** Columns that read what hangs on a profile: groups, lifecycles, interactions, its permission level. */
describe('an export of what hangs on profiles', () => {
  let fixture: ExportFixture;

  beforeAll(async () => {
    fixture = await ExportFixture.create('belongings');
    await createGroupType(fixture.database, fixture.workspaceId, {
      code: 'company',
      properties: [
        { name: 'revenue', type: 'decimal', list: false },
        { name: 'tags', type: 'string', list: true },
      ],
    });
    for (const [code, interaction] of [
      ['page-view', 'title'],
      ['tour', 'name'],
    ] as const) {
      await createEventType(fixture.database, fixture.workspaceId, {
        code,
        properties: [{ name: interaction, type: 'string' }],
        lists: [],
        interaction,
      });
    }
    fixture.startWorker();
  });

  afterAll(async () => {
    await fixture.close();
  });

  const ingest = async (updates: readonly object[]): Promise<void> => {
    const catalogue = await loadCatalogue(fixture.database, fixture.workspaceId);
    const items = await fixture.database.transaction((tx) =>
      ingestBatch(tx, catalogue, updates, { allowCreation: true }),
    );
    for (const item of items) if (item.outcome === 'rejected') throw new Error(item.reason);
  };
  const person = (email: string, more: object = {}): object => ({
    identities: [{ namespace: 'email', value: email }],
    properties: [{ property: 'email', value: email }],
    ...more,
  });
  const put = async (key: string, properties: object, members: readonly string[] = []): Promise<void> => {
    const catalogue = await loadCatalogue(fixture.database, fixture.workspaceId);
    await fixture.database.transaction((tx) =>
      putGroup(tx, catalogue, {
        type: 'company',
        key,
        properties: JSON.stringify(properties),
        members: members.map((value) => ({ namespace: 'email', value })),
      }),
    );
  };
  const exporting = (...sources: readonly object[]): ((changes?: object) => Promise<ExportCounts>) => {
    const goalId = randomUUID();
    const columns = [
      { header: 'mail', source: { kind: 'property', property: 'email' } },
      ...sources.map((source, index) => ({ header: `c${index}`, source })),
    ];
    return async (changes = {}) => {
      const run = await fixture.run(goalId, fixture.goal({ columns, fileName: `${randomUUID()}`, ...changes }));
      if (run.outcome !== 'succeeded') throw new Error(run.error?.message);
      return run.counts;
    };
  };

  it('writes a property of the groups of a type, several as a list, and a delta holds whom its change concerns', async () => {
    await ingest(['a', 'b', 'c', 'd'].map((name) => person(`${name}@x.test`)));
    await put('acme', { revenue: 1.5, tags: ['x', 'y'], city: 'Ulm' }, ['a@x.test', 'b@x.test']);
    await put('bolt', { revenue: 20 }, ['b@x.test', 'c@x.test']);
    const run = exporting(
      { kind: 'group', type: 'company', property: 'revenue' },
      { kind: 'group', type: 'company', property: 'tags' },
      { kind: 'group', type: 'company', property: 'city' },
      { kind: 'group', type: 'company' },
    );
    const csv = { decimalSeparator: ',', list: { separator: '|' } };
    const full = await run({ csv });
    expect(full.mode).toBe('full');
    expect(await fixture.rows(full)).toEqual([
      'a@x.test,"1,5",x|y,Ulm,acme',
      'b@x.test,"1,5|20",x|y,Ulm,acme|bolt',
      'c@x.test,20,,,bolt',
      'd@x.test,,,,',
    ]);
    expect((await run({ csv })).rows).toBe(0);

    await put('bolt', { revenue: 21 });
    const changed = await run({ csv });
    expect(changed).toMatchObject({ mode: 'delta', touched: 2 });
    expect(await fixture.rows(changed)).toEqual(['b@x.test,"1,5|21",x|y,Ulm,acme|bolt', 'c@x.test,21,,,bolt']);

    // The same value again is no change; a new member is.
    await put('bolt', { revenue: 21 }, ['d@x.test']);
    expect(await fixture.rows(await run({ csv }))).toEqual(['d@x.test,21,,,bolt']);
    await put('nobody', { revenue: 3 });
    expect((await run({ csv })).rows).toBe(0);
  });

  it('leaves the change of a group alone where the goal reads none', async () => {
    await ingest([person('e@x.test')]);
    await put('coil', { revenue: 1 }, ['e@x.test']);
    const run = exporting({ kind: 'permission-level' });
    await run();
    await put('coil', { revenue: 2 });
    expect((await run()).rows).toBe(0);
  });

  it('finds the property declared later in groups that had it before', async () => {
    await ingest([person('f@x.test')]);
    await put('dyno', { size: 7 }, ['f@x.test']);
    await addGroupProperty(fixture.database, fixture.workspaceId, 'company', {
      name: 'size',
      type: 'integer',
      list: false,
    });
    const rows = await fixture.rows(await exporting({ kind: 'group', type: 'company', property: 'size' })());
    expect(rows).toContain('f@x.test,7');
  });

  it('writes the permission level, and a change of it is due', async () => {
    const level = (value: string): object =>
      person('g@x.test', { properties: [{ property: 'permissionLevel', value }] });
    await ingest([level('call')]);
    const run = exporting({ kind: 'permission-level' });
    expect(await fixture.rows(await run())).toContain(',call');
    await ingest([level('write')]);
    expect(await fixture.rows(await run())).toEqual([',write']);
  });

  it('writes the last stage of a lifecycle a profile has come to, and a delta holds whom a stage enters', async () => {
    const stage = async (name: string, from: number): Promise<string> =>
      (
        await createSegment(fixture.database, fixture.workspaceId, {
          name,
          rule: { kind: 'property', property: 'points', op: 'greater-or-equal', value: from },
        })
      ).id;
    const stages = [
      { name: 'new', segmentId: await stage('L new', 0) },
      { name: 'active', segmentId: await stage('L active', 10) },
      { name: 'loyal', segmentId: await stage('L loyal', 100) },
    ];
    while (await buildSegments(fixture.database)) continue;
    const lifecycle = await putLifecycle(fixture.database, fixture.workspaceId, { name: 'Journey', stages });
    const points = (email: string, value: number): object =>
      person(email, { properties: [{ property: 'points', value }] });
    await ingest([points('h@x.test', 5), points('i@x.test', 500), points('j@x.test', 50)]);
    const run = exporting({ kind: 'lifecycle', lifecycleId: lifecycle.id }, { kind: 'property', property: 'points' });
    const rows = await fixture.rows(await run());
    expect(rows.filter((row) => !row.endsWith(','))).toEqual([',active,50', ',loyal,500', ',new,5']);
    await fixture.database.query(sql`
      UPDATE profile.membership SET status = 'exited', changed_xid = pg_current_xact_id()
      WHERE segment_id = ${stages[2]!.segmentId}::uuid`);
    expect(await fixture.rows(await run())).toEqual([',active,500']);
    // Other stages stamp no profile, so the next run is a full one.
    await putLifecycle(
      fixture.database,
      fixture.workspaceId,
      { name: 'Journey', stages: stages.slice(0, 1) },
      lifecycle.id,
    );
    const renamed = await run();
    expect(renamed.mode).toBe('full');
    expect((await fixture.rows(renamed)).filter((row) => !row.endsWith(','))).toEqual([
      ',new,5',
      ',new,50',
      ',new,500',
    ]);
  });

  it('writes the interactions a profile has viewed, each once, of all types or of some', async () => {
    const viewed = (type: string, id: string, name: string, value: string): object => ({
      type,
      id,
      occurredAt: '2026-01-01T00:00:00Z',
      properties: { [name]: value },
    });
    await ingest([
      person('k@x.test', {
        properties: [{ property: 'email', value: 'k@x.test' }],
        events: [
          viewed('page-view', '1', 'title', 'Prices'),
          viewed('page-view', '2', 'title', 'About us'),
          viewed('page-view', '3', 'title', 'Prices'),
          viewed('tour', '1', 'name', 'Welcome;tour'),
          { type: 'order', id: '1', occurredAt: '2026-01-01T00:00:00Z' },
        ],
      }),
    ]);
    const all = await fixture.rows(await exporting({ kind: 'viewed-interactions' })());
    expect(all).toContain('k@x.test,About us;Prices;Welcome\\;tour');
    const pages = await fixture.rows(await exporting({ kind: 'viewed-interactions', eventTypes: ['page-view'] })());
    expect(pages).toContain('k@x.test,About us;Prices');
    expect(pages.filter((row) => row.startsWith('a@x.test'))).toEqual(['a@x.test,']);
  });

  it('makes a profile due by an interaction alone where the column asks for it', async () => {
    const view = (id: string, title: string): object => ({
      identities: [{ namespace: 'email', value: 'l@x.test' }],
      events: [{ type: 'page-view', id, occurredAt: '2026-01-01T00:00:00Z', properties: { title } }],
    });
    await ingest([person('l@x.test'), view('l1', 'Start')]);
    const asking = exporting({ kind: 'viewed-interactions', countsAsChange: true });
    const calm = exporting({ kind: 'viewed-interactions' });
    await Promise.all([asking(), calm()]);
    await ingest([view('l2', 'Prices')]);
    expect(await fixture.rows(await asking())).toEqual(['l@x.test,Prices;Start']);
    expect((await calm()).rows).toBe(0);
    // The same event again changes nothing.
    await ingest([view('l2', 'Prices')]);
    expect((await asking()).rows).toBe(0);
  });
});
