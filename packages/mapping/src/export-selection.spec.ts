import { type ExportProfilesGoal, exportProfilesGoal } from '@millrace/domain';
import { sql, type Sql } from '@millrace/sql';
import type { Catalogue } from './catalogue.js';
import { compileExportColumns } from './export-columns.js';
import { partitionsOfPart, profilePartitions } from './export-audience.js';
import { compileExportSelection, type ExportSelection } from './export-selection.js';

const segmentId = '0194b2a0-0000-7000-8000-000000000001';

function catalogueOf(state: 'current' | 'building'): Catalogue {
  return {
    workspaceId: 3,
    domainGroupId: 1,
    domainGroups: new Map(),
    properties: new Map([['mail', { id: 1, name: 'mail', type: 'string', list: false }]]),
    namespaces: new Map(),
    eventTypes: new Map(),
    groupTypes: new Map(),
    lifecycles: new Map(),
    segments: new Map([
      [segmentId, { id: segmentId, name: 'All', versions: [{ version: 1, state, rule: { kind: 'all', rules: [] } }] }],
    ]),
  };
}

function goalOf(changes: object = {}): ExportProfilesGoal {
  return exportProfilesGoal.parse({
    kind: 'export-profiles',
    name: 'test',
    segmentId,
    target: { bucket: 'out' },
    columns: [{ header: 'Mail', source: { kind: 'property', property: 'mail' } }],
    ...changes,
  });
}

function compile(changes: object = {}, since?: string, state: 'current' | 'building' = 'current'): ExportSelection {
  const goal = goalOf(changes);
  return compileExportSelection(goal, compileExportColumns(goal, catalogueOf(state)), catalogueOf(state), { since });
}

const textOf = (statement: Sql | undefined): string => {
  const { text, values } = statement?.toQuery() ?? { text: '', values: [] };
  expect(values).toEqual([]);
  return text.replaceAll(/\s+/g, ' ');
};

describe('compileExportSelection', () => {
  it('selects realized members of the workspace with a value for a mapped property', () => {
    const text = textOf(compile().rows([0, 1, 2, 3, 4, 5, 6, 7]));
    expect(text).toMatch(/^SELECT p\.properties->>'mail' FROM profile\.profile AS p JOIN profile\.membership m/);
    expect(text).toContain("m.status = 'realized'");
    expect(text).toContain("p.workspace_id = 3 AND (p.properties ? 'mail')");
    expect(text).not.toContain('consent');
  });

  it('asks no value of a goal that maps no property', () => {
    expect(textOf(compile({ columns: [{ header: 'id', source: { kind: 'profile-id' } }] }).rows([0]))).not.toContain(
      'p.properties ?',
    );
  });

  it('names the tables of a part', () => {
    expect(textOf(compile().rows([5]))).toContain('FROM profile."profile_p5" AS p');
    expect(textOf(compile().rows([1, 5]))).toContain(
      'FROM profile."profile_p1" UNION ALL SELECT id, workspace_id, properties FROM profile."profile_p5"',
    );
  });

  it('looks in a delta at everything the goal reads, and at nothing else', () => {
    const plain = textOf(compile({}, '10:20:15').countTouched);
    expect(plain).toContain(
      "tp.changed_xid >= pg_snapshot_xmin('10:20:15'::pg_snapshot) AND NOT pg_visible_in_snapshot(tp.changed_xid, '10:20:15'::pg_snapshot)",
    );
    expect(plain).toContain('profile.membership tm');
    expect(plain).not.toContain('profile.consent');
    const consenting = textOf(
      compile(
        { consentObjectives: ['a'], columns: [{ header: 'x', source: { kind: 'consent', objective: 'b' } }] },
        '10:20:15',
      ).countTouched,
    );
    expect(consenting).toContain("tc.objective = ANY (ARRAY['a', 'b']::text[])");
  });

  it('tells of those who left only in a delta that says who is in, and of nobody it has not delivered', () => {
    const columns = [{ header: 'Status', source: { kind: 'membership-status' } }];
    const delta = compile({ columns }, '10:20:15');
    expect(delta.mustBeNumbered).toBe(true);
    expect(textOf(delta.numbered)).toContain("WHEN NOT judged.eligible AND judged.told THEN 'left'");
    expect(textOf(delta.numbered)).toContain("'erased'");
    expect(() => delta.rows([0])).toThrow(TypeError);
    const chosen = sql`SELECT number, profile_id, key, fate FROM picked`;
    expect(textOf(delta.rowsOf(chosen))).toContain(
      "(chosen.fate = 'left' OR (m.status IS NOT DISTINCT FROM 'realized' AND",
    );
    for (const other of [compile({ columns }), compile({}, '10:20:15')]) {
      expect(textOf(other.numbered)).not.toContain("'left' END");
      expect(textOf(other.rowsOf(chosen))).toContain("AND m.status = 'realized' WHERE");
    }
    expect(compile({ columns, mode: 'full' }).mustBeNumbered).toBe(false);
  });

  it('chooses the winner of a key again among those who have it, not among everybody', () => {
    const keyed = { deduplicate: { by: 'properties', properties: ['mail'] } };
    const delta = compile(keyed, '10:20:15');
    expect([delta.readsEveryone, compile(keyed).readsEveryone]).toEqual([false, true]);
    expect(textOf(delta.numbered)).toContain('candidate AS MATERIALIZED');
    expect(textOf(delta.numbered)).not.toContain('FROM profile.profile AS p JOIN');
    expect(textOf(compile(keyed).numbered)).toContain('FROM profile.profile AS p JOIN');
    expect([delta.sealsKeys, compile({ ...keyed, tombstones: true }).sealsKeys]).toEqual([false, true]);
  });

  it('looks only at what decides who is in the audience where the goal asks for that', () => {
    const columns = [{ header: 'id', source: { kind: 'profile-id' } }];
    const touchedBy = (more: object): string =>
      textOf(compile({ mode: 'membership-only', columns, ...more }, '10:20:15').countTouched);
    expect(touchedBy({})).toMatch(
      /^SELECT count\(\*\) AS touched FROM \(SELECT tm\.profile_id FROM profile\.membership tm/,
    );
    expect(touchedBy({})).not.toContain('UNION');
    const consenting = touchedBy({ consentObjectives: ['a'] });
    expect(consenting).toContain("tc.objective = ANY (ARRAY['a']::text[])");
    expect(consenting).not.toContain('tp.changed_xid');
    // Who gets what the goal asks for only later, and was not delivered before.
    const asking = compile({ mode: 'membership-only', columns, mandatory: ['mail'] }, '10:20:15');
    expect(textOf(asking.countTouched)).toContain('tp.changed_xid');
    expect(textOf(asking.numbered)).toContain('judged.eligible AND (judged.decisive OR NOT judged.told)');
    expect(asking.mustBeNumbered).toBe(true);
  });

  it('asks for every mandatory property, and counts by the first reason', () => {
    const asking = compile({ mandatory: ['mail'], consentObjectives: ['a'] });
    expect(textOf(asking.rows([0]))).toContain("(p.properties ? 'mail') AND p.properties ? 'mail' AND EXISTS");
    const text = textOf(asking.countByReason);
    expect(text).toContain("CASE WHEN NOT ((p.properties ? 'mail')) THEN 'no-mapped-value'");
    expect(text).toContain("WHEN NOT (p.properties ? 'mail') THEN 'missing:mail' WHEN NOT (EXISTS");
    expect(text).toMatch(
      /THEN 'no-consent' END AS reason .* WHERE p\.workspace_id = 3\) AS withheld\) AS found GROUP BY reason$/,
    );
    expect([asking.withholds, compile({ mandatory: ['mail'] }).withholds, compile().withholds]).toEqual([
      true,
      true,
      false,
    ]);
    expect(() => compile({ mandatory: ['mail', 'nose'] })).toThrow(
      expect.objectContaining({ code: 'property-unknown', at: 'mandatory[1]' }) as Error,
    );
  });

  it('numbers the due, and asks of the numbered again what makes them eligible', () => {
    const selection = compile({ consentObjectives: ['a'] }, '10:20:15');
    expect(textOf(selection.numbered)).toMatch(
      /^SELECT row_number\(\) OVER \(\) AS number, profile_id, key, fate, sealed, known FROM .*SELECT p\.id AS profile_id, NULL::bytea AS key, 'row' AS fate, .* FROM \(SELECT tp\.id/,
    );
    const text = textOf(selection.rowsOf(sql`SELECT profile_id FROM picked`));
    expect(text).toMatch(/ FROM \(SELECT profile_id FROM picked\) AS chosen JOIN profile\.profile AS p/);
    expect(text).toContain("m.status = 'realized' WHERE p.workspace_id = 3 AND (p.properties ?");
    expect(text).toContain('profile.consent c');
    expect(text).not.toContain('changed_xid');
  });

  it('waits for a segment that was never built and refuses one that is gone', () => {
    expect(() => compile({}, undefined, 'building')).toThrow(
      expect.objectContaining({ name: 'TransientError', code: 'segment-building' }) as Error,
    );
    expect(() => compile({ segmentId: '0194b2a0-0000-7000-8000-00000000000f' })).toThrow(
      expect.objectContaining({ code: 'segment-unknown' }) as Error,
    );
  });
});

describe('partitionsOfPart', () => {
  it.each([1, 2, 3, 5, 8])('gives each partition to one of %d parts', (parts) => {
    const all = Array.from({ length: parts }, (_, index) => partitionsOfPart(index + 1, parts)).flat();
    expect(all.sort((a, b) => a - b)).toEqual(Array.from({ length: profilePartitions }, (_, partition) => partition));
  });

  it('knows no part beyond the last', () => {
    expect(() => partitionsOfPart(3, 2)).toThrow(RangeError);
  });
});
