import { randomUUID } from 'node:crypto';
import { Database, sql } from '@millrace/database';
import { ExportFixture, setPropertyStatement } from './export-fixture.js';

describe('a delta export', () => {
  let fixture: ExportFixture;
  const goalId = randomUUID();
  const names = (prefix: string): string => `${prefix}_%DATETIME%`;
  let ids: readonly string[];

  beforeAll(async () => {
    fixture = await ExportFixture.create('delta_export');
    ids = await fixture.addProfiles(
      Array.from({ length: 50 }, (_, index) => ({ email: `user${index}@x.test`, points: index })),
    );
    fixture.startWorker();
    await fixture.run(goalId);
  });

  afterAll(async () => {
    await fixture.close();
  });

  const delta = async (changes: Readonly<Record<string, unknown>> = {}) =>
    await fixture.run(goalId, fixture.goal({ fileName: names('delta'), ...changes }));

  it('writes no file and succeeds when nothing is due', async () => {
    const before = await fixture.objects();
    const { outcome, counts } = await delta();
    expect({ outcome, rows: counts.rows, files: counts.files, mode: counts.mode }).toEqual({
      outcome: 'succeeded',
      rows: 0,
      files: [],
      mode: 'delta',
    });
    expect(await fixture.objects()).toEqual(before);
  });

  it('writes a file with only the header when nothing is due and the goal asks for it', async () => {
    const { counts } = await delta({ emptyResult: 'header-only', fileName: names('header') });
    expect(counts.rows).toBe(0);
    expect((await fixture.read(counts.files[0]?.name ?? '')).toString()).toBe('E-mail,Points\n');
    expect(await fixture.manifest(counts)).toMatchObject({ rows: 0, files: [{ rows: 0, bytes: 14 }] });
  });

  it('fails when nothing is due and the goal asks for that, and leaves the watermark', async () => {
    const watermark = async () =>
      (await fixture.database.query(sql`SELECT snapshot::text FROM exporter.watermark WHERE goal_id = ${goalId}`)).rows;
    const before = await watermark();
    expect(await delta({ emptyResult: 'fail' })).toMatchObject({ outcome: 'failed', error: { code: 'nothing-due' } });
    expect(await watermark()).toEqual(before);
  });

  it('writes what changed since: profiles, memberships and nothing else', async () => {
    const [created] = await fixture.addProfiles([{ email: 'new@x.test', points: 1000 }]);
    await fixture.setProperty(ids[7] ?? '', 'points', 777);
    await fixture.database.query(sql`
      UPDATE profile.membership SET status = 'exited', changed_xid = pg_current_xact_id() WHERE profile_id = ANY (${[ids[8], ids[9]]}::uuid[])`);
    await fixture.database.query(sql`
      UPDATE profile.membership SET status = 'realized', changed_xid = pg_current_xact_id() WHERE profile_id = ${ids[9]}`);
    const { counts } = await delta();
    expect(await fixture.rows(counts)).toEqual(['new@x.test,1000', 'user7@x.test,777', 'user9@x.test,9']);
    expect(counts).toMatchObject({ mode: 'delta', touched: 4, due: 3 });
    expect((await delta()).counts.rows).toBe(0);
    await fixture.database.query(sql`DELETE FROM profile.profile WHERE id = ${created}`);
  });

  const leave = async (id: string | undefined): Promise<void> => {
    await fixture.database.query(sql`
      UPDATE profile.membership SET status = 'exited', changed_xid = pg_current_xact_id() WHERE profile_id = ${id}`);
  };
  const enter = async (id: string | undefined): Promise<void> => {
    await fixture.database.query(sql`
      UPDATE profile.membership SET status = 'realized', changed_xid = pg_current_xact_id() WHERE profile_id = ${id}`);
  };
  const withStatus = {
    columns: [
      { header: 'mail', source: { kind: 'property', property: 'email' } },
      { header: 'status', source: { kind: 'membership-status' } },
    ],
  };

  it('holds those who left the segment since as exited rows where the column is mapped; a full file never does', async () => {
    const statusGoal = randomUUID();
    const run = async (mode = 'delta') =>
      (await fixture.run(statusGoal, fixture.goal({ ...withStatus, mode, fileName: '%TIMESTAMP%' }))).counts;
    await leave(ids[20]);
    const full = await run();
    expect(full.mode).toBe('full');
    expect((await fixture.rows(full)).filter((row) => !row.endsWith(',realized'))).toEqual([]);
    expect(await fixture.rows(full)).not.toContain('user20@x.test,realized');

    // Left long ago: a change of the profile is nobody's business any more.
    await fixture.setProperty(ids[20] ?? '', 'points', 2020);
    await leave(ids[21]);
    await fixture.setProperty(ids[22] ?? '', 'points', 2222);
    const counts = await run();
    expect(await fixture.rows(counts)).toEqual(['user21@x.test,exited', 'user22@x.test,realized']);
    expect(counts).toMatchObject({ mode: 'delta', due: 2 });
    await enter(ids[20]);
    await enter(ids[21]);
    expect(await fixture.rows(await run())).toEqual(['user20@x.test,realized', 'user21@x.test,realized']);
    await leave(ids[21]);
    expect(await fixture.rows(await run('full'))).not.toContain('user21@x.test,exited');
    await enter(ids[21]);
    await delta();
  });

  it('holds only changed memberships where the goal asks for that, and runs in full when it no longer does', async () => {
    const memberGoal = randomUUID();
    const run = async (mode = 'membership-only', columns: object = withStatus) =>
      (await fixture.run(memberGoal, fixture.goal({ ...columns, mode, fileName: '%TIMESTAMP%' }))).counts;
    expect((await run()).mode).toBe('full');
    await fixture.setProperty(ids[30] ?? '', 'points', 3030);
    await leave(ids[31]);
    expect(await fixture.rows(await run())).toEqual(['user31@x.test,exited']);
    expect((await run()).rows).toBe(0);
    // What it left out is in the first export that would hold it.
    expect(await run('delta')).toMatchObject({ mode: 'full', reason: expect.stringMatching(/mode/) as string });
    await enter(ids[31]);
    await delta();
  });

  it('misses no transaction that was open when the last export was planned, however they commit', async () => {
    const other = new Database({ url: fixture.testDatabase.url, applicationName: 'writer', maxConnections: 4 });
    let commitEarly: () => void = () => undefined;
    let commitLate: () => void = () => undefined;
    const begun: Promise<unknown>[] = [];
    const write = (
      id: string,
      points: number,
      gate: Promise<void>,
    ): { readonly begun: Promise<void>; readonly done: Promise<void> } => {
      let isBegun: () => void = () => undefined;
      const beginning = new Promise<void>((resolve) => (isBegun = resolve));
      const done = other.transaction(async (tx) => {
        await tx.query(setPropertyStatement(id, 'points', points));
        isBegun();
        await gate;
      });
      return { begun: beginning, done };
    };
    const late = write(ids[1] ?? '', 1001, new Promise((resolve) => (commitLate = resolve)));
    await late.begun;
    const early = write(ids[2] ?? '', 1002, new Promise((resolve) => (commitEarly = resolve)));
    await early.begun;
    begun.push(late.done, early.done);
    try {
      // Begun after both, committed before either.
      await fixture.setProperty(ids[3] ?? '', 'points', 1003);
      expect(await fixture.rows((await delta()).counts)).toEqual(['user3@x.test,1003']);
      commitEarly();
      await early.done;
      expect(await fixture.rows((await delta()).counts)).toEqual(['user2@x.test,1002']);
      expect((await delta()).counts.rows).toBe(0);
      commitLate();
      await late.done;
      expect(await fixture.rows((await delta()).counts)).toEqual(['user1@x.test,1001']);
      expect((await delta()).counts.rows).toBe(0);
    } finally {
      commitEarly();
      commitLate();
      await Promise.allSettled(begun);
      await other.end();
    }
  });

  it('counts consent, and segments it names, only where the goal reads them', async () => {
    const consentGoal = randomUUID();
    const goal = fixture.goal({
      fileName: names('consent'),
      columns: [
        { header: 'mail', source: { kind: 'property', property: 'email' } },
        { header: 'news', source: { kind: 'consent', objective: 'news' } },
      ],
    });
    await fixture.run(consentGoal, goal);
    await fixture.database.query(
      sql`INSERT INTO profile.consent (profile_id, objective, granted) VALUES (${ids[4]}, 'news', true), (${ids[5]}, 'offers', true)`,
    );
    expect(await fixture.rows((await fixture.run(consentGoal, goal)).counts)).toEqual(['user4@x.test,true']);
    expect((await delta()).counts.rows).toBe(0);
  });

  it('counts events only where the goal asks for it', async () => {
    const [quiet, asking] = [randomUUID(), randomUUID()];
    const goal = (countsAsChange: boolean) =>
      fixture.goal({ fileName: names('events'), timeline: { types: ['order'], countsAsChange } });
    await fixture.run(quiet, goal(false));
    await fixture.run(asking, goal(true));
    await fixture.database.query(sql`INSERT INTO profile.event (event_type_id, id, profile_id, occurred_at)
      SELECT id, 'o-1', ${ids[11]}, now() FROM profile.event_type WHERE workspace_id = ${fixture.workspaceId} AND code = 'order'`);
    expect((await fixture.run(quiet, goal(false))).counts).toMatchObject({ mode: 'delta', rows: 0 });
    const { counts } = await fixture.run(asking, goal(true));
    const profiles = counts.files.filter(({ name }) => !name.endsWith('_order.csv'));
    expect(await fixture.rows({ ...counts, files: profiles })).toEqual(['user11@x.test,11']);
  });

  it('runs in full and says so when mapping, epoch, timeline or system changed or the watermark lies ahead', async () => {
    const mapped = { columns: [{ header: 'mail', source: { kind: 'property', property: 'email' } }] };
    expect((await delta(mapped)).counts).toMatchObject({
      mode: 'full',
      reason: expect.stringMatching(/columns/) as string,
    });
    const doctored = async (change: ReturnType<typeof sql>) => {
      await fixture.database.query(sql`UPDATE exporter.watermark SET ${change} WHERE goal_id = ${goalId}`);
      const { counts } = await delta(mapped);
      expect(counts.mode).toBe('full');
      expect((await delta(mapped)).counts.mode).toBe('delta');
      return counts.reason;
    };
    expect(await doctored(sql`epoch = epoch - 1`)).toMatch(/epoch/);
    expect(await doctored(sql`timeline = timeline + 1`)).toMatch(/timeline/);
    expect(await doctored(sql`system_identifier = '1'`)).toMatch(/cluster/);
    expect(await doctored(sql`snapshot = '9000000000:9000000001:9000000000'`)).toMatch(/has not begun/);
  });

  it('keeps the watermark of the last delivered run when a run fails', async () => {
    await fixture.run(goalId, fixture.goal());
    await fixture.setProperty(ids[6] ?? '', 'points', 606);
    expect((await delta({ fileName: '%NOSUCH%' })).outcome).toBe('failed');
    expect(await fixture.rows((await delta()).counts)).toEqual(['user6@x.test,606']);
  });
});

describe('repeated delta exports beside concurrent writers', () => {
  it('hold, together, every change: the last state of each profile is the state in the store', async () => {
    const fixture = await ExportFixture.create('delta_property');
    try {
      fixture.startWorker();
      const ids = await fixture.addProfiles(
        Array.from({ length: 40 }, (_, index) => ({ email: `u${index}@x.test`, points: 0 })),
      );
      const goalId = randomUUID();
      const seen = new Map<string, string>();
      const deliver = async (): Promise<string | undefined> => {
        const { outcome, counts } = await fixture.run(goalId, fixture.goal({ fileName: '%TIMESTAMP%', parts: 2 }));
        expect(outcome).toBe('succeeded');
        for (const row of await fixture.rows(counts))
          seen.set(row.slice(0, row.indexOf(',')), row.slice(row.indexOf(',') + 1));
        return counts.mode;
      };
      expect(await deliver()).toBe('full');

      const writers = new Database({ url: fixture.testDatabase.url, applicationName: 'writer', maxConnections: 8 });
      let random = 12345;
      const next = (limit: number): number => {
        random = (random * 1103515245 + 12345) % 2147483648;
        return random % limit;
      };
      let writing = true;
      // Each writer keeps to profiles of its own, so that they overlap in time but never wait for one another.
      const write = async (writer: number): Promise<void> => {
        for (let round = 1; writing; round += 1) {
          const pauseMs = next(10) === 0 ? 150 : next(12);
          await writers.transaction(async (tx) => {
            for (let count = 0; count < 3; count += 1)
              await tx.query(setPropertyStatement(ids[writer * 8 + next(8)] ?? '', 'points', round * 10 + count));
            await tx.query(sql`SELECT pg_sleep(${pauseMs / 1000})`);
          });
        }
      };
      const all = Promise.all([0, 1, 2, 3, 4].map(write));
      for (let round = 0; round < 12; round += 1) expect(await deliver()).toBe('delta');
      writing = false;
      await all;
      expect(await deliver()).toBe('delta');
      const { rows } = await fixture.database.query<{ email: string; points: string }>(
        sql`SELECT properties->>'email' AS email, properties->>'points' AS points FROM profile.profile`,
      );
      expect(Object.fromEntries(seen)).toEqual(Object.fromEntries(rows.map((row) => [row.email, row.points])));
      expect((await fixture.run(goalId, fixture.goal({ fileName: '%TIMESTAMP%', parts: 2 }))).counts.rows).toBe(0);
      await writers.end();
    } finally {
      await fixture.close();
    }
  });
});

describe.each(['delta', 'membership-only'])(
  'repeated exports of memberships (%s) beside concurrent writers',
  (mode) => {
    it('tell, together, who is in the segment', async () => {
      const fixture = await ExportFixture.create('delta_members');
      const writers = new Database({ url: fixture.testDatabase.url, applicationName: 'writer', maxConnections: 8 });
      try {
        fixture.startWorker();
        const ids = await fixture.addProfiles(
          Array.from({ length: 40 }, (_, index) => ({ email: `u${index}@x.test` })),
        );
        const goalId = randomUUID();
        const goal = fixture.goal({
          mode,
          fileName: '%TIMESTAMP%',
          parts: 2,
          columns: [
            { header: 'mail', source: { kind: 'property', property: 'email' } },
            { header: 'status', source: { kind: 'membership-status' } },
          ],
        });
        const inside = new Set<string>();
        const deliver = async (): Promise<number> => {
          const { outcome, counts } = await fixture.run(goalId, goal);
          expect(outcome).toBe('succeeded');
          for (const row of await fixture.rows(counts)) {
            const [mail = '', status] = row.split(',');
            if (status === 'realized') inside.add(mail);
            else inside.delete(mail);
          }
          return counts.rows;
        };
        await deliver();
        expect(inside.size).toBe(40);
        let random = 99;
        const next = (limit: number): number => {
          random = (random * 1103515245 + 12345) % 2147483648;
          return random % limit;
        };
        let writing = true;
        const write = async (writer: number): Promise<void> => {
          while (writing) {
            const pauseMs = next(10) === 0 ? 150 : next(12);
            await writers.transaction(async (tx) => {
              await tx.query(sql`
              UPDATE profile.membership SET status = CASE status WHEN 'exited' THEN 'realized' ELSE 'exited' END,
                changed_xid = pg_current_xact_id() WHERE profile_id = ${ids[writer * 8 + next(8)]}`);
              await tx.query(sql`SELECT pg_sleep(${pauseMs / 1000})`);
            });
          }
        };
        const all = Promise.all([0, 1, 2, 3, 4].map(write));
        for (let round = 0; round < 8; round += 1) await deliver();
        writing = false;
        await all;
        await deliver();
        const { rows } = await fixture.database.query<{ email: string }>(sql`
        SELECT p.properties->>'email' AS email FROM profile.profile p JOIN profile.membership m ON m.profile_id = p.id
        WHERE m.status = 'realized'`);
        expect([...inside].sort()).toEqual(rows.map((row) => row.email).sort());
        expect(await deliver()).toBe(0);
      } finally {
        await writers.end();
        await fixture.close();
      }
    });
  },
);
