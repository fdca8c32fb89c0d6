import { randomUUID } from 'node:crypto';
import { sql } from '@millrace/database';
import { exportProfilesGoal, type Explanation, explanation } from '@millrace/domain';
import { eraseProfiles } from '@millrace/profile-store';
import { explainExport } from '../src/explain-export/explain-export.js';
import { ExportFixture } from './export-fixture.js';

describe('the explanation of one profile', () => {
  let fixture: ExportFixture;
  const goalId = randomUUID();

  beforeAll(async () => {
    fixture = await ExportFixture.create('explain');
    fixture.startWorker();
  });

  afterAll(async () => {
    await fixture.close();
  });

  const goal = (changes: object = {}): Readonly<Record<string, unknown>> =>
    fixture.goal({ fileName: 'x_%DATETIME%', mandatory: ['points'], ...changes });
  const explain = async (
    profileId: string | undefined,
    given = goal(),
    objectives: string[] = [],
  ): Promise<Explanation> =>
    explanation.parse(
      await explainExport(fixture.database, {
        workspaceId: fixture.workspaceId,
        goalId,
        goal: exportProfilesGoal.parse(given),
        consentObjectives: objectives,
        profileId: profileId ?? '',
      }),
    );
  /** The first that is not met: what decides. */
  const obstacle = ({ audiences }: Explanation) => audiences[0]?.conditions.find(({ met }) => !met);

  it('says why a profile is in, and by which condition another is out', async () => {
    const [whole, poor] = await fixture.addProfiles([{ email: 'a@x.test', points: 1 }, { email: 'b@x.test' }]);
    const told = await explain(whole);
    expect(told).toMatchObject({ included: true, mode: 'full', reason: expect.stringMatching(/before/) as string });
    expect(told.audiences[0]?.conditions.map(({ condition }) => condition)).toEqual([
      'exists',
      'in-segment',
      'no-mapped-value',
      'missing:points',
    ]);
    expect(obstacle(told)).toBeUndefined();
    const without = await explain(poor);
    expect(without.included).toBe(false);
    expect(obstacle(without)).toEqual({
      condition: 'missing:points',
      met: false,
      answer: 'it has no value for the mandatory property "points"',
    });
    const unasked = await explain(whole, goal(), ['partner']);
    expect([unasked.included, obstacle(unasked)?.condition]).toEqual([false, 'no-consent']);
    expect(obstacle(await explain(randomUUID()))?.answer).toBe('the workspace has no such profile');
  });

  it('agrees with the runs: what changed since the last, who left and who was erased', async () => {
    const [still, moved, left, erased] = await fixture.addProfiles(
      ['s', 'm', 'l', 'e'].map((name) => ({ email: `${name}@x.test`, points: 1 })),
    );
    await fixture.run(goalId, goal());
    await fixture.setProperty(moved ?? '', 'points', 2);
    await fixture.database.query(sql`
      UPDATE profile.membership SET status = 'exited', qualified_at = '2026-05-06T07:08:09Z', changed_xid = pg_current_xact_id() WHERE profile_id = ${left}`);
    await fixture.database.transaction((tx) => eraseProfiles(tx, fixture.workspaceId, sql`SELECT ${erased}::uuid`));
    expect(obstacle(await explain(still))?.condition).toBe('changed');
    const due = await explain(moved);
    expect(due).toMatchObject({ included: true, mode: 'delta' });
    expect(due.audiences[0]?.conditions.at(-1)?.answer).toBe('changed since the last delivered export: profile');
    expect(obstacle(await explain(left))?.answer).toBe('it left the segment at 2026-05-06T07:08:09.000Z');
    expect(obstacle(await explain(erased))?.answer).toMatch(/^the profile was erased at /);
    const { counts } = await fixture.run(goalId, goal());
    expect(await fixture.rows(counts)).toEqual(['m@x.test,2']);
    expect((await explain(moved)).included).toBe(false);
  });

  it('names the profile that has the same key', async () => {
    const [first, second] = await fixture.addProfiles([
      { email: 'twin@x.test', points: 1 },
      { email: 'twin@x.test', points: 2 },
    ]);
    const once = goal({ mode: 'full', deduplicate: { by: 'properties', properties: ['email'] } });
    expect((await explain(second, once)).included).toBe(true);
    const loser = await explain(first, once);
    expect(loser.included).toBe(false);
    expect(obstacle(loser)).toMatchObject({
      condition: 'duplicate',
      answer: expect.stringContaining(second ?? '') as string,
    });
  });
});
