import { csvDialect, type ExportProfilesGoal, exportProfilesGoal } from '@millrace/domain';
import type { Catalogue } from './catalogue.js';
import { compileExportColumns } from './export-columns.js';

const segmentId = '0194b2a0-0000-7000-8000-000000000001';
const catalogue: Catalogue = {
  workspaceId: 3,
  domainGroupId: 1,
  domainGroups: new Map(),
  properties: new Map(
    [
      { id: 1, name: "it's", type: 'string' as const, list: false },
      { id: 2, name: 'spent', type: 'decimal' as const, list: false },
      { id: 3, name: 'active', type: 'boolean' as const, list: false },
      { id: 4, name: 'tags', type: 'string' as const, list: true },
    ].map((property) => [property.name, property]),
  ),
  namespaces: new Map([
    ['crm', { id: 9, code: 'crm', normalisation: { trim: true, case: 'keep', digitsOnly: false, hash: 'none' } }],
  ]),
  eventTypes: new Map(),
  groupTypes: new Map(),
  lifecycles: new Map(),
  segments: new Map([
    [
      segmentId,
      {
        id: segmentId,
        name: 'Everyone',
        versions: [{ version: 1, state: 'current', rule: { kind: 'all', rules: [] } }],
      },
    ],
  ]),
};

function goal(sources: readonly object[], csv: object = {}): ExportProfilesGoal {
  return exportProfilesGoal.parse({
    kind: 'export-profiles',
    name: 'test',
    segmentId,
    target: { bucket: 'out' },
    columns: sources.map((source, index) => ({ header: `h${index}`, source })),
    csv: csvDialect.parse(csv),
  });
}

const textOf = (source: object, csv: object = {}): string => {
  const { text, values } = compileExportColumns(goal([source], csv), catalogue).expressions[0]?.toQuery() ?? {
    text: '',
    values: ['none'],
  };
  expect(values).toEqual([]);
  return text.replaceAll(/\s+/g, ' ');
};

describe('compileExportColumns', () => {
  it('reads a stored value as text, its name quoted', () => {
    expect(textOf({ kind: 'property', property: "it's" })).toBe("p.properties->>'it''s'");
  });

  it('leaves numbers and booleans as stored where the dialect writes them so', () => {
    expect(textOf({ kind: 'property', property: 'spent' })).toBe("p.properties->>'spent'");
    expect(textOf({ kind: 'property', property: 'active' })).toBe("p.properties->>'active'");
  });

  it('writes decimals and booleans as the dialect says', () => {
    expect(textOf({ kind: 'property', property: 'spent' }, { decimalSeparator: ',' })).toBe(
      "replace(p.properties->>'spent', '.', ',')",
    );
    expect(textOf({ kind: 'property', property: 'active' }, { trueWords: ["o'k"], falseWords: ['no'] })).toContain(
      "WHEN 'true' THEN 'o''k'",
    );
  });

  it('keeps text that tries to leave its literal inside it', () => {
    expect(textOf({ kind: 'fixed', text: "'; DROP TABLE x; --\\" })).toBe(" E'''; DROP TABLE x; --\\\\'::text");
    expect(textOf({ kind: 'consent', objective: "a'b" })).toContain("c.objective = 'a''b'");
  });

  it('says which column refers to something the workspace does not have', () => {
    const compile = (source: object) => () => compileExportColumns(goal([{ kind: 'profile-id' }, source]), catalogue);
    expect(compile({ kind: 'property', property: 'shoe' })).toThrow(
      'column "h1": the workspace has no property "shoe"',
    );
    expect(compile({ kind: 'identity', namespace: 'shoe' })).toThrow(
      'column "h1": the workspace has no identity namespace "shoe"',
    );
    expect(compile({ kind: 'segments', segmentIds: ['0194b2a0-0000-7000-8000-00000000000f'] })).toThrow(
      /column "h1": the workspace has no segment/,
    );
    expect(compile({ kind: 'property', property: 'shoe' })).toThrow(
      expect.objectContaining({ code: 'column-unknown', at: 'columns[1].source' }) as Error,
    );
  });

  it('lists what a goal reads, once each', () => {
    const { headers, reads } = compileExportColumns(
      goal([
        { kind: 'property', property: 'tags' },
        { kind: 'property', property: 'tags' },
        { kind: 'identity', namespace: 'crm' },
        { kind: 'segments' },
        { kind: 'consent', objective: 'news' },
      ]),
      catalogue,
    );
    expect(headers).toEqual(['h0', 'h1', 'h2', 'h3', 'h4']);
    expect(reads).toEqual({
      properties: ['tags'],
      namespaceIds: [9],
      segmentIds: [segmentId],
      objectives: ['news'],
      groupTypeIds: [],
      eventTypeIds: [],
    });
  });
});
