import { randomUUID } from 'node:crypto';
import { sql } from '@millrace/database';
import { identityNamespace } from '@millrace/domain';
import { buildSegments, createNamespace, createSegment, eraseProfiles } from '@millrace/profile-store';
import { ExportFixture } from './export-fixture.js';

/** Who an export holds: audiences, keys of which there is one row, identities the receiver needs, consent and erasure. */
describe('the audience of an export', () => {
  let fixture: ExportFixture;

  beforeAll(async () => {
    fixture = await ExportFixture.create('audiences');
    fixture.startWorker();
  });

  beforeEach(async () => {
    for (const table of ['profile', 'membership', 'consent', 'identity'])
      await fixture.database.query(sql`DELETE FROM ${sql.id('profile', table)}`);
  });

  afterAll(async () => {
    await fixture.close();
  });

  const goalWith = (changes: object): Readonly<Record<string, unknown>> =>
    fixture.goal({ fileName: '%SEGMENT_NAME%_%DATETIME%', ...changes });
  const run = async (goalId: string, changes: object) => {
    const ended = await fixture.run(goalId, goalWith(changes));
    expect(ended).toMatchObject({ outcome: 'succeeded' });
    return { counts: ended.counts, rows: await fixture.rows(ended.counts) };
  };
  const setStatus = async (id: string | undefined, status: string): Promise<void> => {
    await fixture.database.query(sql`UPDATE profile.membership SET status = ${status}, qualified_at = clock_timestamp(),
      changed_xid = pg_current_xact_id() WHERE profile_id = ${id}`);
  };
  const consent = async (id: string | undefined, objective: string, granted: boolean): Promise<void> => {
    await fixture.database
      .query(sql`INSERT INTO profile.consent (profile_id, objective, granted) VALUES (${id}, ${objective}, ${granted})
      ON CONFLICT (profile_id, objective) DO UPDATE SET granted = excluded.granted, changed_xid = pg_current_xact_id()`);
  };
  const status = { header: 'status', source: { kind: 'membership-status' } };
  const mail = { header: 'mail', source: { kind: 'property', property: 'email' } };
  const points = { header: 'points', source: { kind: 'property', property: 'points' } };

  describe('with the same values once', () => {
    const keyed = { deduplicate: { by: 'properties', properties: ['email'] }, columns: [mail, points] };

    it('is the most recently qualified profile of each, the others counted', async () => {
      const goalId = randomUUID();
      const [old, young] = await fixture.addProfiles([
        { email: 'a@x.test', points: 1 },
        { email: 'a@x.test', points: 2 },
        { email: 'b@x.test', points: 3 },
        { points: 4 },
      ]);
      await setStatus(young, 'realized');
      const full = await run(goalId, keyed);
      expect(full.rows).toEqual(['a@x.test,2', 'b@x.test,3']);
      expect(full.counts).toMatchObject({
        mode: 'full',
        due: 2,
        withheld: 2,
        withheldBy: { duplicate: 1, 'no-deduplication-key': 1 },
      });
      // A change of the one that lost is nobody's business.
      await fixture.setProperty(old ?? '', 'points', 11);
      const delta = await run(goalId, keyed);
      expect(delta.rows).toEqual([]);
      expect(delta.counts).toMatchObject({ mode: 'delta', touched: 1, withheldBy: { duplicate: 1 } });
    });

    it.each<[string, (id: string) => Promise<void>]>([
      ['leaves the segment', async (id) => await setStatus(id, 'exited')],
      ['takes another value', async (id) => await fixture.setProperty(id, 'email', 'c@x.test')],
      [
        'is erased',
        async (id) =>
          void (await fixture.database.transaction((tx) =>
            eraseProfiles(tx, fixture.workspaceId, sql`SELECT ${id}::uuid`),
          )),
      ],
    ])('shows the next one when the first %s', async (_, leave) => {
      const goalId = randomUUID();
      const [, winner] = await fixture.addProfiles([
        { email: 'a@x.test', points: 1 },
        { email: 'a@x.test', points: 2 },
      ]);
      await setStatus(winner, 'realized');
      expect((await run(goalId, keyed)).rows).toEqual(['a@x.test,2']);
      await leave(winner ?? '');
      const { rows, counts } = await run(goalId, keyed);
      expect(counts.mode).toBe('delta');
      expect(rows.filter((row) => row.startsWith('a@'))).toEqual(['a@x.test,1']);
      expect((await run(goalId, keyed)).rows).toEqual([]);
    });

    it('says of a key that it left only when nobody has it any more', async () => {
      const goalId = randomUUID();
      const telling = { ...keyed, columns: [mail, status] };
      const [first, second] = await fixture.addProfiles([{ email: 'a@x.test' }, { email: 'a@x.test' }]);
      expect((await run(goalId, telling)).rows).toEqual(['a@x.test,realized']);
      await setStatus(second, 'exited');
      expect((await run(goalId, telling)).rows).toEqual(['a@x.test,realized']);
      await setStatus(first, 'exited');
      expect((await run(goalId, telling)).rows).toEqual(['a@x.test,exited']);
    });

    it('takes two properties together, and splits by rows', async () => {
      await fixture.addProfiles([
        { email: 'a@x.test', points: 1 },
        { email: 'a@x.test', points: 2 },
        { email: 'a@x.test', points: 2 },
      ]);
      const both = { ...keyed, deduplicate: { by: 'properties', properties: ['email', 'points'] }, splitRows: 1 };
      const { rows, counts } = await run(randomUUID(), both);
      expect(rows).toEqual(['a@x.test,1', 'a@x.test,2']);
      expect(counts.files).toHaveLength(2);
    });

    it('keeps what it remembers when a run fails', async () => {
      const goalId = randomUUID();
      const [, winner] = await fixture.addProfiles([
        { email: 'a@x.test', points: 1 },
        { email: 'a@x.test', points: 2 },
      ]);
      await setStatus(winner, 'realized');
      await run(goalId, keyed);
      await setStatus(winner, 'exited');
      const failed = await fixture.run(goalId, goalWith({ ...keyed, fileName: '%NOSUCH%' }));
      expect(failed.outcome).toBe('failed');
      expect((await run(goalId, keyed)).rows).toEqual(['a@x.test,1']);
    });
  });

  describe('by the identities of a namespace', () => {
    const addIdentity = async (profileId: string | undefined, value: string): Promise<void> => {
      await fixture.database.query(sql`INSERT INTO profile.identity (domain_group_id, namespace_id, value, profile_id)
        SELECT p.domain_group_id, n.id, ${value}, p.id FROM profile.identity_namespace n, profile.profile p
        WHERE p.id = ${profileId} AND n.workspace_id = ${fixture.workspaceId} AND n.code = 'receiver'`);
    };

    beforeAll(async () => {
      await createNamespace(fixture.database, fixture.workspaceId, identityNamespace.parse({ code: 'receiver' }));
    });

    it.each([{}, { splitRows: 2 }])('has a row for each (%j)', async (split) => {
      const [one, two] = await fixture.addProfiles([
        { email: 'a@x.test' },
        { email: 'b@x.test' },
        { email: 'c@x.test' },
      ]);
      await addIdentity(one, 'r-1');
      await addIdentity(one, 'r-2');
      await addIdentity(two, 'r-3');
      const columns = [{ header: 'id', source: { kind: 'identity', namespace: 'receiver' } }, mail];
      const goalId = randomUUID();
      const keyed = { deduplicate: { by: 'namespace', namespace: 'receiver' }, columns, ...split };
      const { rows, counts } = await run(goalId, keyed);
      expect(rows).toEqual(['r-1,a@x.test', 'r-2,a@x.test', 'r-3,b@x.test']);
      expect(counts).toMatchObject({ withheldBy: { 'no-deduplication-key': 1 } });
      await fixture.setProperty(one ?? '', 'email', 'aa@x.test');
      expect((await run(goalId, keyed)).rows).toEqual(['r-1,aa@x.test', 'r-2,aa@x.test']);
    });

    it('leaves out who has none the receiver knows, and counts them', async () => {
      const [known] = await fixture.addProfiles([{ email: 'a@x.test' }, { email: 'b@x.test' }]);
      await addIdentity(known, 'r-9');
      const { rows, counts } = await run(randomUUID(), { requiredIdentity: 'receiver', columns: [mail] });
      expect(rows).toEqual(['a@x.test']);
      expect(counts).toMatchObject({ due: 1, withheldBy: { 'not-in-target': 1 } });
    });
  });

  describe('of several segments', () => {
    let other: string;
    beforeAll(async () => {
      const rule = { kind: 'property', property: 'points', op: 'exists' } as const;
      other = (await createSegment(fixture.database, fixture.workspaceId, { name: 'Scorers', rule })).id;
      while (await buildSegments(fixture.database)) continue;
    });
    const join = async (id: string | undefined, state = 'realized'): Promise<void> => {
      await fixture.database
        .query(sql`INSERT INTO profile.membership (profile_id, segment_id, status) VALUES (${id}, ${other}, ${state})
        ON CONFLICT (profile_id, segment_id) DO UPDATE SET status = excluded.status, changed_xid = pg_current_xact_id()`);
    };
    const leaveFirst = async (id: string | undefined): Promise<void> => {
      await fixture.database
        .query(sql`UPDATE profile.membership SET status = 'exited', changed_xid = pg_current_xact_id()
        WHERE profile_id = ${id} AND segment_id = ${fixture.segmentId}`);
    };

    it('is whoever is in one of them, once, in one file', async () => {
      const [both, left] = await fixture.addProfiles([{ email: 'both@x.test' }, { email: 'left@x.test' }]);
      await join(both);
      const columns = [
        mail,
        { header: 'in', source: { kind: 'segments', segmentIds: [fixture.segmentId, other] } },
        status,
      ];
      const goalId = randomUUID();
      const several = { furtherSegmentIds: [other], columns };
      const { rows, counts } = await run(goalId, several);
      expect(rows).toEqual(['both@x.test,Everyone;Scorers,realized', 'left@x.test,Everyone,realized']);
      expect(counts).toMatchObject({ members: 2 });
      await leaveFirst(both);
      await leaveFirst(left);
      expect((await run(goalId, several)).rows).toEqual(['both@x.test,Scorers,realized', 'left@x.test,,exited']);
      await join(both, 'exited');
      expect((await run(goalId, several)).rows).toEqual(['both@x.test,,exited']);
    });

    it('has a set of files for each where the goal asks for that', async () => {
      const [both] = await fixture.addProfiles([{ email: 'both@x.test' }, { email: 'one@x.test' }]);
      await join(both);
      const each = { furtherSegmentIds: [other], audiences: 'file-per-audience', columns: [mail], parts: 2 };
      const goalId = randomUUID();
      const { counts } = await run(goalId, each);
      const of = async (name: string) => {
        const files = counts.files.filter((file) => file.name.includes(name));
        return { files: files.length, rows: await fixture.rows({ ...counts, files }) };
      };
      expect(await of('Everyone')).toEqual({ files: 2, rows: ['both@x.test', 'one@x.test'] });
      expect(await of('Scorers')).toEqual({ files: 2, rows: ['both@x.test'] });
      expect(await fixture.manifest(counts)).toMatchObject({ rows: 3 });
      await join(both, 'exited');
      await join(both);
      const delta = await run(goalId, each);
      expect(delta.counts.mode).toBe('delta');
      expect(delta.counts.files.map(({ name }) => name).every((name) => name.includes('Scorers'))).toBe(true);
      expect(delta.rows).toEqual(['both@x.test']);
    });

    it('keeps files of each apart when they are split and deduplicated', async () => {
      const [one, two] = await fixture.addProfiles([
        { email: 'a@x.test' },
        { email: 'a@x.test' },
        { email: 'b@x.test' },
      ]);
      await join(one);
      await join(two);
      const each = {
        furtherSegmentIds: [other],
        audiences: 'file-per-audience',
        columns: [mail],
        splitRows: 1,
        deduplicate: { by: 'properties', properties: ['email'] },
      };
      const { counts, rows } = await run(randomUUID(), each);
      expect(rows).toEqual(['a@x.test', 'a@x.test', 'b@x.test']);
      expect(counts.files.map(({ name }) => name.includes('Everyone')).sort()).toEqual([false, true, true]);
    });

    it('tells of who left an audience in the files of that one alone, by profile and by key', async () => {
      const [one, two] = await fixture.addProfiles([{ email: 'a@x.test' }, { email: 'b@x.test' }]);
      await join(one);
      await join(two);
      const each = {
        furtherSegmentIds: [other],
        audiences: 'file-per-audience',
        columns: [mail, status],
        splitRows: 1,
      };
      const keyed = { ...each, deduplicate: { by: 'properties', properties: ['email'] } };
      const [byProfile, byKey] = [randomUUID(), randomUUID()];
      await run(byProfile, each);
      await run(byKey, keyed);
      await join(one, 'exited');
      await leaveFirst(two);
      for (const { counts } of [await run(byProfile, each), await run(byKey, keyed)]) {
        const of = (name: string) =>
          fixture.rows({ ...counts, files: counts.files.filter((file) => file.name.includes(name)) });
        expect(await of('Scorers')).toEqual(['a@x.test,exited']);
        expect(await of('Everyone')).toEqual(['b@x.test,exited']);
      }
      expect((await run(byProfile, each)).rows).toEqual([]);
      expect((await run(byKey, keyed)).rows).toEqual([]);
    });

    it('is refused where files of two audiences would have one name', async () => {
      await fixture.addProfiles([{ email: 'a@x.test' }]);
      const each = { furtherSegmentIds: [other], audiences: 'file-per-audience', emptyResult: 'header-only' };
      const ended = await fixture.run(randomUUID(), goalWith({ ...each, fileName: 'same_%DATETIME%' }));
      expect(ended).toMatchObject({ outcome: 'failed', error: { code: 'file-name-repeated', at: 'fileName' } });
    });
  });

  describe('that consents', () => {
    afterEach(() => {
      fixture.consentObjectives = [];
    });

    it("withholds and counts whoever consents to none of the connection's objectives, beside the goal's own", async () => {
      fixture.consentObjectives = ['partner', 'group'];
      const [yes, onlyNews] = await fixture.addProfiles([
        { email: 'yes@x.test' },
        { email: 'news@x.test' },
        { email: 'unknown@x.test' },
      ]);
      await consent(yes, 'partner', true);
      await consent(yes, 'news', true);
      await consent(onlyNews, 'news', true);
      await consent(onlyNews, 'group', false);
      const goalId = randomUUID();
      const news = { consentObjectives: ['news'], columns: [mail] };
      const { rows, counts } = await run(goalId, news);
      expect(rows).toEqual(['yes@x.test']);
      expect(counts).toMatchObject({ withheldBy: { 'no-consent': 2 } });
      await consent(onlyNews, 'group', true);
      expect((await run(goalId, news)).rows).toEqual(['news@x.test']);
      fixture.consentObjectives = ['partner'];
      const changed = await run(goalId, news);
      expect(changed.counts).toMatchObject({ mode: 'full', reason: expect.stringMatching(/consent/) as string });
      expect(changed.rows).toEqual(['yes@x.test']);
    });

    it('lets nothing of the timeline leave of somebody who withdrew', async () => {
      fixture.consentObjectives = ['partner'];
      const [gone, stays] = await fixture.addProfiles([{ email: 'gone@x.test' }, { email: 'stays@x.test' }]);
      for (const id of [gone, stays]) {
        await consent(id, 'partner', true);
        await fixture.database.query(sql`INSERT INTO profile.event (event_type_id, id, profile_id, occurred_at)
          SELECT id, ${`o-${id}`}, ${id}, now() FROM profile.event_type WHERE workspace_id = ${fixture.workspaceId} AND code = 'order'`);
      }
      const goalId = randomUUID();
      const telling = { columns: [mail, status], timeline: { types: ['order'] } };
      const orders = async () => {
        const { counts } = await run(goalId, telling);
        const files = counts.files.filter(({ name }) => name.endsWith('_order.csv'));
        return (await fixture.rows({ ...counts, files })).map((row) => row.split(',')[1]);
      };
      expect(await orders()).toEqual([`o-${gone}`, `o-${stays}`].sort());
      await consent(gone, 'partner', false);
      await fixture.setProperty(stays ?? '', 'points', 1);
      expect(await orders()).toEqual([`o-${stays}`]);
    });

    it('tells of somebody who withdrew and left the segment before the next export', async () => {
      fixture.consentObjectives = ['partner'];
      const [id] = await fixture.addProfiles([{ email: 'a@x.test' }]);
      await consent(id, 'partner', true);
      const goalId = randomUUID();
      const telling = { columns: [{ header: 'id', source: { kind: 'profile-id' } }, mail, status] };
      await run(goalId, telling);
      await consent(id, 'partner', false);
      await setStatus(id, 'exited');
      expect((await run(goalId, telling)).rows).toEqual([`${id},,exited`]);
    });

    it('tells nothing of somebody who never consented, whatever becomes of that', async () => {
      fixture.consentObjectives = ['partner', 'group'];
      const [never, once] = await fixture.addProfiles([{ email: 'never@x.test' }, { email: 'once@x.test' }]);
      await consent(once, 'partner', true);
      const goalId = randomUUID();
      const telling = { columns: [{ header: 'id', source: { kind: 'profile-id' } }, status] };
      expect((await run(goalId, telling)).rows).toEqual([`${once},realized`]);
      await consent(never, 'partner', false);
      await consent(once, 'partner', false);
      const { rows, counts } = await run(goalId, telling);
      expect(rows).toEqual([`${once},exited`]);
      expect(counts).toMatchObject({ due: 1, withheldBy: { 'no-consent': 1 } });
      await consent(once, 'group', false);
      expect((await run(goalId, telling)).rows).toEqual([]);
    });

    it.each(['delta', 'membership-only'])(
      'tells once, without attributes, that somebody withdrew, and then of the return (%s)',
      async (mode) => {
        fixture.consentObjectives = ['partner'];
        const [id] = await fixture.addProfiles([{ email: 'a@x.test' }]);
        await consent(id, 'partner', true);
        const goalId = randomUUID();
        const telling = { mode, columns: [{ header: 'id', source: { kind: 'profile-id' } }, mail, status] };
        expect((await run(goalId, telling)).rows).toEqual([`${id},a@x.test,realized`]);
        await consent(id, 'partner', false);
        const gone = await run(goalId, telling);
        expect(gone.rows).toEqual([`${id},,exited`]);
        await fixture.setProperty(id ?? '', 'email', 'b@x.test');
        const silent = await run(goalId, telling);
        expect(silent.rows).toEqual([]);
        await consent(id, 'partner', true);
        expect((await run(goalId, telling)).rows).toEqual([`${id},b@x.test,realized`]);
      },
    );
  });

  it('tells in changes of memberships also of a member who gets only later what the goal asks for, and of that alone', async () => {
    const [poor, rich] = await fixture.addProfiles([{ email: 'poor@x.test' }, { email: 'rich@x.test', points: 1 }]);
    const goalId = randomUUID();
    const members = { mode: 'membership-only', mandatory: ['points'], columns: [mail, status] };
    expect((await run(goalId, members)).rows).toEqual(['rich@x.test,realized']);
    await fixture.setProperty(rich ?? '', 'points', 2);
    const silent = await run(goalId, members);
    expect(silent.rows).toEqual([]);
    expect(silent.counts.mode).toBe('delta');
    await fixture.setProperty(poor ?? '', 'points', 3);
    expect((await run(goalId, members)).rows).toEqual(['poor@x.test,realized']);
    await fixture.setProperty(poor ?? '', 'points', 4);
    expect((await run(goalId, members)).rows).toEqual([]);
    await setStatus(poor, 'exited');
    expect((await run(goalId, members)).rows).toEqual(['poor@x.test,exited']);
    await setStatus(poor, 'realized');
    expect((await run(goalId, members)).rows).toEqual(['poor@x.test,realized']);
  });

  it('holds the erased as tombstones in deltas where the goal asks for it, and only those it could have held', async () => {
    const columns = [{ header: 'id', source: { kind: 'profile-id' } }, mail, status];
    const [gone, stays] = await fixture.addProfiles([{ email: 'gone@x.test' }, { email: 'stays@x.test' }]);
    const [goalId, silentId] = [randomUUID(), randomUUID()];
    const telling = { columns, tombstones: true };
    await run(goalId, telling);
    await run(silentId, { columns });
    const { rows: stranger } = await fixture.database.query<{ id: string }>(sql`
      INSERT INTO profile.profile (id, workspace_id, domain_group_id, properties, version)
      SELECT uuidv7(), workspace_id, id, '{}', 1 FROM profile.domain_group WHERE workspace_id = ${fixture.workspaceId} RETURNING id`);
    await fixture.database.transaction((tx) =>
      eraseProfiles(tx, fixture.workspaceId, sql`SELECT unnest(${[gone, stranger[0]?.id]}::uuid[])`),
    );
    const { rows, counts } = await run(goalId, telling);
    expect(rows).toEqual([`${gone},,erased`]);
    expect(counts).toMatchObject({ mode: 'delta', due: 1 });
    expect((await run(silentId, { columns })).rows).toEqual([`${gone},,exited`]);
    expect((await run(silentId, { columns })).rows).toEqual([]);
    expect((await run(goalId, telling)).rows).toEqual([]);
    expect((await run(goalId, { ...telling, mode: 'full' })).rows).toEqual([`${stays},stays@x.test,realized`]);
  });

  it('holds the erased once in an export split by rows', async () => {
    const columns = [{ header: 'id', source: { kind: 'profile-id' } }, status];
    const [gone, changed] = await fixture.addProfiles([{ email: 'gone@x.test' }, { email: 'stays@x.test' }]);
    const goalId = randomUUID();
    const telling = { columns, tombstones: true, splitRows: 1 };
    await run(goalId, telling);
    await fixture.setProperty(changed ?? '', 'points', 1);
    await fixture.database.transaction((tx) => eraseProfiles(tx, fixture.workspaceId, sql`SELECT ${gone}::uuid`));
    const { rows, counts } = await run(goalId, telling);
    expect(rows).toEqual([`${changed},realized`, `${gone},erased`].sort());
    expect(counts.files).toHaveLength(2);
  });
});
