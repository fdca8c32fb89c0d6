import { randomUUID } from 'node:crypto';
import { sql } from '@millrace/database';
import { type ExportCounts, exportProfilesGoal } from '@millrace/domain';
import { sendCommand } from '@millrace/job-queue';
import { eraseProfiles, ingestBatch, loadCatalogue } from '@millrace/profile-store';
import { explainExport } from '../src/explain-export/explain-export.js';
import { receiverSeals } from '../src/storage/receiver-seals.js';
import { removeExpiredExports, takeForgotten } from '../src/storage/retention.js';
import { ExportFixture } from './export-fixture.js';

/** Of whom a receiver is told that they are in the audience no more, and by what it knows them. */
describe('those who left what a goal exports', () => {
  let fixture: ExportFixture;

  beforeAll(async () => {
    fixture = await ExportFixture.create('leavers');
    fixture.startWorker();
  });

  beforeEach(async () => {
    for (const table of ['profile', 'membership', 'consent', 'identity', 'tombstone'])
      await fixture.database.query(sql`DELETE FROM ${sql.id('profile', table)}`);
  });

  afterAll(async () => {
    await fixture.close();
  });

  const run = async (goalId: string, goal: object): Promise<{ counts: ExportCounts; rows: string[] }> => {
    const ended = await fixture.run(goalId, fixture.goal({ fileName: randomUUID(), ...goal }));
    expect(ended).toMatchObject({ outcome: 'succeeded' });
    return { counts: ended.counts, rows: [...(await fixture.rowsInOrder(ended.counts))] };
  };
  const person = async (emails: readonly string[], more: object = {}): Promise<string> => {
    const [email = ''] = emails;
    const identities = emails.map((value) => ({ namespace: 'email', value }));
    await fixture.database.transaction(async (tx) => {
      const update = { identities, properties: [{ property: 'email', value: email }], ...more };
      const [item] = await ingestBatch(tx, await loadCatalogue(tx, fixture.workspaceId), [update], {
        allowCreation: true,
      });
      expect(item?.outcome).not.toBe('rejected');
    });
    const { rows } = await fixture.database.query<{ profile_id: string }>(
      sql`SELECT profile_id FROM profile.identity WHERE value = ${email}`,
    );
    return rows[0]?.profile_id ?? '';
  };
  const setPoints = (value: number | null): object => ({
    properties: [{ property: 'points', value, rule: 'set-or-clear' }],
  });
  const erase = async (id: string): Promise<void> => {
    await fixture.database.transaction((tx) => eraseProfiles(tx, fixture.workspaceId, sql`SELECT ${id}::uuid`));
  };
  const lastWords = async (...goalIds: readonly string[]): Promise<readonly string[]> => {
    const { rows } = await fixture.database.query<{ sealed: string }>(
      sql`SELECT sealed FROM profile.last_words WHERE goal_id = ANY (${goalIds}::uuid[])`,
    );
    return rows.map(({ sealed }) => sealed);
  };
  /** Everything the exporter and the erasures remember, as text and as bytes. */
  const remembered = async (): Promise<string> => {
    const { rows } = await fixture.database.query<{ all: string }>(sql`
      SELECT concat((SELECT string_agg(d::text || encode(d.key, 'escape'), ' ') FROM exporter.delivered d),
        (SELECT string_agg(s::text, ' ') FROM exporter.selected s), (SELECT string_agg(t::text, ' ') FROM profile.tombstone t),
        (SELECT string_agg(w::text, ' ') FROM profile.last_words w)) AS all`);
    return rows[0]?.all ?? '';
  };

  const id = { header: 'id', source: { kind: 'profile-id' } };
  const mail = { header: 'mail', source: { kind: 'identity', namespace: 'email' } };
  const points = { header: 'points', source: { kind: 'property', property: 'points' } };
  const status = { header: 'status', source: { kind: 'membership-status' } };

  it.each(['delta', 'membership-only'])(
    'are told of once when they lose what the goal asks for, and again when they get it (%s)',
    async (mode) => {
      const goalId = randomUUID();
      const goal = { mode, mandatory: ['points'], columns: [mail, points, status] };
      await person(['a@x.test'], setPoints(1));
      await person(['never@x.test']);
      expect((await run(goalId, goal)).rows).toEqual(['a@x.test,1,realized']);
      await person(['a@x.test'], setPoints(null));
      await person(['never@x.test'], { properties: [{ property: 'person.name', value: 'N' }] });
      const left = await run(goalId, goal);
      expect(left.rows).toEqual(['a@x.test,,exited']);
      expect(left.counts).toMatchObject({ due: 1 });
      await person(['a@x.test'], { properties: [{ property: 'person.name', value: 'A' }] });
      expect((await run(goalId, goal)).rows).toEqual([]);
      await person(['a@x.test'], setPoints(2));
      expect((await run(goalId, goal)).rows).toEqual(['a@x.test,2,realized']);
    },
  );

  it('are told of when the last mapped value or the last identity of the receiver goes', async () => {
    const goalId = randomUUID();
    const goal = { columns: [id, points, status], requiredIdentity: 'customerId' };
    const one = await person(['a@x.test'], {
      ...setPoints(1),
      identities: [
        { namespace: 'email', value: 'a@x.test' },
        { namespace: 'customerId', value: 'c-1' },
      ],
    });
    const two = await person(['b@x.test'], {
      ...setPoints(2),
      identities: [
        { namespace: 'email', value: 'b@x.test' },
        { namespace: 'customerId', value: 'c-2' },
      ],
    });
    expect((await run(goalId, goal)).rows.sort()).toEqual([`${one},1,realized`, `${two},2,realized`].sort());
    await person(['a@x.test'], setPoints(null));
    await fixture.database.query(sql`
      WITH gone AS (DELETE FROM profile.identity WHERE value = 'c-2' RETURNING profile_id)
      UPDATE profile.profile SET changed_xid = pg_current_xact_id() WHERE id IN (SELECT profile_id FROM gone)`);
    expect((await run(goalId, goal)).rows.sort()).toEqual([`${one},,exited`, `${two},2,exited`].sort());
  });

  it('are told of by the key nobody has any more, which lies sealed until then', async () => {
    const goalId = randomUUID();
    const goal = { columns: [points, mail, id, status], deduplicate: { by: 'properties', properties: ['points'] } };
    const one = await person(['a@x.test'], setPoints(4711471147));
    const two = await person(['b@x.test'], setPoints(4712471247));
    expect((await run(goalId, goal)).rows.sort()).toEqual([
      `4711471147,a@x.test,${one},realized`,
      `4712471247,b@x.test,${two},realized`,
    ]);
    expect(await remembered()).not.toMatch(/4711471147|4712471247/);
    await person(['a@x.test'], setPoints(4713471347));
    await erase(two);
    const { rows } = await run(goalId, goal);
    expect(rows.slice(0, 2).sort()).toEqual([`4711471147,,${one},exited`, `4712471247,,${two},exited`]);
    expect(rows.slice(2)).toEqual([`4713471347,a@x.test,${one},realized`]);
    expect((await run(goalId, goal)).rows).toEqual([]);
    await person(['a@x.test'], setPoints(4711471147));
    expect((await run(goalId, goal)).rows).toEqual([
      `4713471347,,${one},exited`,
      `4711471147,a@x.test,${one},realized`,
    ]);
  });

  it('are told of by each of their identities where each has a row', async () => {
    const goalId = randomUUID();
    const goal = { columns: [mail, status], deduplicate: { by: 'namespace', namespace: 'email' }, tombstones: true };
    const two = await person(['a@x.test', 'b@x.test']);
    await person(['c@x.test']);
    expect((await run(goalId, goal)).rows.sort()).toEqual(['a', 'b', 'c'].map((who) => `${who}@x.test,realized`));
    await erase(two);
    expect(await remembered()).not.toMatch(/@x\.test/);
    expect((await run(goalId, goal)).rows.sort()).toEqual(['a@x.test,erased', 'b@x.test,erased']);
    expect((await run(goalId, goal)).rows).toEqual([]);
  });

  it('are told of, erased, by the identities their receivers know them by, sealed for each until it is told', async () => {
    const [first, second, silent] = [randomUUID(), randomUUID(), randomUUID()];
    const csv = { list: { separator: '|', open: '[', close: ']' } };
    const goal = { columns: [mail, points, status], tombstones: true, csv };
    const [one, two] = [await person(['a@x.test', 'z@x.test'], setPoints(1)), await person(['b@x.test'], setPoints(2))];
    await run(first, goal);
    await run(second, goal);
    await run(silent, { columns: [id, points, status] });
    await erase(one);
    await erase(two);
    // Nobody learns of a person who came back: what left stands before what came.
    const back = await person(['b@x.test'], setPoints(3));
    const words = await lastWords(first, second);
    expect(words).toHaveLength(4);
    for (const text of [...words, await remembered()]) expect(text).not.toMatch(/@x|identities/);
    expect((await run(first, goal)).rows).toEqual(
      expect.arrayContaining(['[a@x.test|z@x.test],,erased', 'b@x.test,,erased', 'b@x.test,3,realized']),
    );
    expect(await lastWords(first, second)).toHaveLength(2);
    const told = (await run(second, { ...goal, splitRows: 1 })).rows;
    expect([...told].sort()).toEqual(['[a@x.test|z@x.test],,erased', 'b@x.test,,erased', 'b@x.test,3,realized'].sort());
    expect(told.at(-1)).toBe('b@x.test,3,realized');
    expect(await lastWords(first, second, silent)).toEqual([]);
    expect((await run(silent, { columns: [id, points, status] })).rows).toEqual(
      expect.arrayContaining([`${one},,exited`, `${two},,exited`, `${back},3,realized`]),
    );
    expect((await run(first, goal)).rows).toEqual([]);
  });

  it('go the way of all rows: through processors, in the dialect, and with more files than one', async () => {
    const goalId = randomUUID();
    const goal = {
      columns: [mail, points, status],
      tombstones: true,
      parts: 2,
      csv: { delimiter: ';', lineEnding: 'crlf', quotePolicy: 'all' },
      processors: [{ kind: 'change-case', column: 'mail', to: 'upper' }],
    };
    const one = await person(['a@x.test'], setPoints(1));
    await person(['b@x.test'], setPoints(2));
    await run(goalId, goal);
    await erase(one);
    await person(['b@x.test'], setPoints(null));
    const { rows, counts } = await run(goalId, goal);
    expect(rows.map((row) => row.trim()).sort()).toEqual(['"A@X.TEST";;"erased"', '"B@X.TEST";;"exited"']);
    expect(counts.files).toHaveLength(2);
  });

  it('are explained: not eligible, and due to be told of', async () => {
    const goalId = randomUUID();
    const goal = { columns: [mail, status], mandatory: ['points'] };
    const id = await person(['a@x.test'], setPoints(1));
    await run(goalId, goal);
    await person(['a@x.test'], setPoints(null));
    const explanation = await explainExport(fixture.database, {
      workspaceId: fixture.workspaceId,
      goalId,
      goal: exportProfilesGoal.parse(fixture.goal(goal)),
      consentObjectives: [],
      profileId: id,
    });
    expect(explanation).toMatchObject({ included: true, mode: 'delta' });
    const conditions = explanation.audiences[0]?.conditions ?? [];
    expect(conditions.filter(({ met }) => !met).map(({ condition }) => condition)).toEqual(['missing:points']);
    expect(conditions.at(-1)).toMatchObject({ condition: 'told-to-leave', met: true });
    await run(goalId, goal);
    expect(
      await explainExport(fixture.database, {
        workspaceId: fixture.workspaceId,
        goalId,
        goal: exportProfilesGoal.parse(fixture.goal(goal)),
        consentObjectives: [],
        profileId: id,
      }),
    ).toMatchObject({ included: false });
  });

  it('are not told of by another key than the one they were sealed for, and the goal that is deleted leaves nothing', async () => {
    const goalId = randomUUID();
    const goal = { columns: [mail, status], tombstones: true };
    const one = await person(['a@x.test']);
    await run(goalId, goal);
    await erase(one);
    const [sealed = ''] = await lastWords(goalId);
    const of = { workspaceId: fixture.workspaceId, goalId, profileId: one };
    const ours = receiverSeals(new Uint8Array(32).fill(7));
    expect(JSON.parse(ours.open(sealed, of))).toEqual({ identities: { [await emailNamespace()]: ['a@x.test'] } });
    const broken = expect.objectContaining({ code: 'seal-broken' }) as Error;
    expect(() => receiverSeals(new Uint8Array(32)).open(sealed, of)).toThrow(broken);
    expect(() => ours.open(sealed, { ...of, goalId: randomUUID() })).toThrow(broken);

    await sendCommand(fixture.database, { kind: 'forget-export', goalId });
    expect(await takeForgotten(fixture.database)).toBe(1);
    while ((await removeExpiredExports(fixture.database, { exportDays: 90, watermarkDays: 400 })) > 0) continue;
    expect(await lastWords(goalId)).toEqual([]);
    const { rows } = await fixture.database.query(sql`
      SELECT goal_id FROM exporter.watermark WHERE goal_id = ${goalId} UNION ALL SELECT goal_id FROM exporter.delivered WHERE goal_id = ${goalId}
      UNION ALL SELECT goal_id FROM profile.erasure_reader WHERE goal_id = ${goalId}`);
    expect(rows).toEqual([]);
  });

  const emailNamespace = async (): Promise<number> =>
    (
      await fixture.database.query<{ id: number }>(
        sql`SELECT id FROM profile.identity_namespace WHERE workspace_id = ${fixture.workspaceId} AND code = 'email'`,
      )
    ).rows[0]?.id ?? 0;
});
