import { gunzipSync } from 'node:zlib';
import { waitFor } from '@millrace/testing';
import { isOver, type Identified, type RunView } from './api.js';
import { parseCsv } from './csv.js';
import { succeeded } from './exchange.js';
import { Millrace } from './millrace.js';

/** Names as nobody should give them, and somebody will. */
const names = [
  '__proto__',
  'constructor.prototype.polluted',
  'toString',
  'hasOwnProperty',
  `it's "quoted", \`ticked\` \\ slashed`,
  `'); DROP TABLE profile.profile; --`,
  '$1 ${name} %s %_ ?|? ::text',
  '{"json": [1]}',
  '=HYPERLINK("http://example.org")',
  '😀.👩‍👩‍👧‍👦.🏳️‍🌈',
  '\u202eלשמאל\u202c.اليمين',
  'e\u0301 is not \u00e9',
  'é is not e\u0301',
  'x'.repeat(300),
  `${'a.'.repeat(100)}b`,
  ' leading and trailing ',
  '1',
  '..%2f..%2fetc'.replaceAll('.', '/'),
  'null',
] as const;

const key = `id'"; SELECT 1; --`;
const values = (name: string): string => `<${name.slice(0, 40)}> "'\\\n;,\t`;
const ids = [`o'clock "1"`, '../../2?x=%27&y#', '😀 \u202e3', '__proto__', `${'4'.repeat(200)}`];

const field = (text: string): string => `"${text.replaceAll('"', '""')}"`;

/** Nests a value by the dots of its name, as profiles are shown. */
function nested(of: readonly (readonly [name: string, value: string])[]): unknown {
  const root = new Map<string, unknown>();
  for (const [name, value] of of) {
    const path = name.split('.');
    let at = root;
    for (const part of path.slice(0, -1)) {
      if (!at.has(part)) at.set(part, new Map());
      at = at.get(part) as Map<string, unknown>;
    }
    at.set(path.at(-1) ?? '', value);
  }
  const plain = (node: unknown): unknown =>
    node instanceof Map
      ? [...(node as Map<string, unknown>)].map(([name, child]) => [name, plain(child)]).sort()
      : node;
  return plain(root);
}

function sortedEntries(node: unknown): unknown {
  if (typeof node !== 'object' || node === null) return node;
  return Object.entries(node)
    .map(([name, child]) => [name, sortedEntries(child)])
    .sort();
}

describe('hostile names', () => {
  const path = '/workspaces/hostile';
  const bucket = 'hostile-bucket';
  let millrace: Millrace;
  let run: RunView;
  let segmentId: string;

  beforeAll(async () => {
    millrace = await Millrace.start('hostile-names');
    const { api, stack } = millrace;
    await millrace.bucket.createBucket(bucket);
    await api.post('/workspaces', { name: 'hostile', title: `'"; -- <script>` });
    for (const name of names) await api.post(`${path}/properties`, { name });
    const rules = names.map((property) => ({ kind: 'property', property, op: 'equals', value: values(property) }));
    const segment = { name: `../../"who's"; DROP %_ 😀 \u202e`, rule: { kind: 'all', rules } };
    segmentId = (await api.post<Identified>(`${path}/segments`, segment)).id;
    const { id: connection } = await api.post<Identified>(`${path}/connections`, {
      kind: 's3',
      name: `"bucket"; --`,
      endpoint: stack.urls.s3,
      credentials: { kind: 'access-key', ...stack.credentials },
    });

    const header = [key, ...names].map(field).join(',');
    const rows = ids.map((id) => [id, ...names.map(values)].map(field).join(','));
    await millrace.bucket.put(bucket, 'in/people.csv', `${header}\n${rows.join('\n')}\n`);
    await api.post(`${path}/connections/${connection}/goals`, {
      kind: 'import-profiles',
      name: `in'"; --`,
      source: { bucket, directory: 'in', pattern: { kind: 'exact', name: 'people.csv' } },
      matching: { identifiers: [{ column: key, namespace: 'customerId' }] },
      mappings: names.map((name) => ({ column: name, property: name })),
    });
    await api.post(`${path}/connections/${connection}/goals`, {
      kind: 'export-profiles',
      name: `out'"; --`,
      segmentId,
      target: { bucket, directory: 'out/%SEGMENT_NAME%' },
      fileName: '%SEGMENT_NAME%',
      columns: [
        { header: key, source: { kind: 'identity', namespace: 'customerId' } },
        ...names.map((name) => ({ header: name, source: { kind: 'property', property: name } })),
      ],
      compression: 'gzip',
    });
    const { id } = await api.post<Identified>(`${path}/connections/${connection}/runs`);
    run = await waitFor(
      async () => {
        const seen = await api.get<RunView>(`${path}/runs/${id}`);
        return isOver(seen) && seen;
      },
      120_000,
      'the end of the run',
    );
  });
  afterAll(() => millrace?.stop());

  it('pass through an import, which keeps every value apart', () => {
    succeeded(run);
    expect(run.goals[0]?.counts).toMatchObject({ rowsRead: ids.length, created: ids.length, rejected: 0 });
  });

  it('are found by look-up, each value under its own name, and nothing else is there', async () => {
    const expected = nested(names.map((name) => [name, values(name)]));
    for (const value of ids) {
      const query = new URLSearchParams({ namespace: 'customerId', value });
      const profile = await millrace.api.get<{ properties: object }>(`${path}/profiles?${query.toString()}`);
      expect(sortedEntries(profile.properties)).toEqual(expected);
    }
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('count in a segment whose rule names all of them', async () => {
    const segment = await millrace.api.get<{ members?: number }>(`${path}/segments/${segmentId}`);
    expect(JSON.stringify(segment)).toContain('DROP');
    expect(run.goals[1]?.counts).toMatchObject({ rows: ids.length });
  });

  it('leave in an export below its directory, header and values as they came', async () => {
    const objects = (await millrace.bucket.list(bucket, '')).map(({ key: name }) => name);
    const files = objects.filter((name) => name.endsWith('.csv.gz'));
    expect(files).toHaveLength(1);
    for (const name of objects.filter((each) => each !== 'in/people.csv')) {
      expect(name.startsWith('out/')).toBe(true);
      expect(name.split('/')).not.toContain('..');
    }
    const [header, ...rows] = parseCsv(gunzipSync(await millrace.bucket.get(bucket, files[0] ?? '')).toString());
    expect(header).toEqual([key, ...names]);
    expect(rows.sort()).toEqual(ids.map((id) => [id, ...names.map(values)]).sort());
  });
});
