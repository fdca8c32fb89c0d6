import { waitFor } from '@millrace/testing';
import { isOver, type Identified, type RunView } from './api.js';
import { parseCsv } from './csv.js';
import { Millrace } from './millrace.js';

const path = '/workspaces/groups';
const bucket = 'groups-bucket';

describe('companies and their people in, people with what their company is out', () => {
  let millrace: Millrace;
  let connectionId: string;

  const put = (name: string, ...lines: readonly string[]): Promise<void> =>
    millrace.bucket.put(bucket, `in/${name}`, `${lines.join('\n')}\n`);
  const source = (pattern: string): object => ({ bucket, directory: 'in', pattern: { kind: 'wildcard', pattern } });
  const run = async (): Promise<RunView> => {
    const { id } = await millrace.api.post<Identified>(`${path}/connections/${connectionId}/runs`);
    return await waitFor(
      async () => {
        const view = await millrace.api.get<RunView>(`${path}/runs/${id}`);
        return isOver(view) && view;
      },
      120_000,
      'the end of the run',
    );
  };
  /** Rows of the last exported file. */
  const exported = async ({ goals }: RunView): Promise<readonly (readonly string[])[]> => {
    const { files } = goals.at(-1)!.counts as { files: { name: string }[] };
    const [, ...rows] = parseCsv((await millrace.bucket.get(bucket, files[0]!.name)).toString());
    return rows.map((row) => [...row]).sort();
  };
  const profile = async (id: string): Promise<Identified & { readonly groups: readonly object[] }> =>
    millrace.api.get(`${path}/profiles?namespace=customerId&value=${id}`);

  beforeAll(async () => {
    millrace = await Millrace.start('groups');
    const { api, stack } = millrace;
    await api.post('/workspaces', { name: 'groups' });
    await millrace.bucket.createBucket(bucket);
    await api.post(`${path}/group-types`, {
      code: 'company',
      properties: [{ name: 'name' }, { name: 'revenue', type: 'decimal' }],
    });
    const { id: segmentId } = await api.post<Identified>(`${path}/segments`, {
      name: 'Of large companies',
      rule: { kind: 'group', type: 'company', property: 'revenue', op: 'greater', value: 100 },
    });
    const { id: lifecycleId } = await api.post<Identified>(`${path}/lifecycles`, {
      name: 'Account',
      stages: [{ name: 'key account', segmentId }],
    });
    connectionId = (
      await api.post<Identified>(`${path}/connections`, {
        kind: 's3',
        name: 'Bucket',
        endpoint: stack.urls.s3,
        credentials: { kind: 'access-key', ...stack.credentials },
      })
    ).id;
    const goals = `${path}/connections/${connectionId}/goals`;
    const column = (header: string, of: object): object => ({ header, source: of });
    // In the order in which they must not run.
    await api.post(goals, {
      kind: 'export-profiles',
      name: 'People of large companies',
      segmentId,
      target: { bucket, directory: 'out' },
      columns: [
        column('id', { kind: 'identity', namespace: 'customerId' }),
        column('company', { kind: 'group', type: 'company' }),
        column('revenue', { kind: 'group', type: 'company', property: 'revenue' }),
        column('stage', { kind: 'lifecycle', lifecycleId }),
        column('level', { kind: 'permission-level' }),
      ],
    });
    await api.post(goals, {
      kind: 'import-profiles',
      name: 'People',
      source: source('people*.csv'),
      matching: { identifiers: [{ column: 'id', namespace: 'customerId' }] },
      mappings: [{ column: 'level', property: 'permissionLevel' }],
      groupLinks: [{ column: 'company', type: 'company' }],
      linked: [
        { alias: 'orders', pattern: { kind: 'wildcard', pattern: 'orders*.csv' }, column: 'id', parentColumn: 'id' },
        {
          alias: 'lines',
          parent: 'orders',
          pattern: { kind: 'wildcard', pattern: 'lines*.csv' },
          column: 'order',
          parentColumn: 'order',
        },
      ],
      events: [
        {
          file: 'orders',
          type: 'order',
          idColumn: 'order',
          occurredAtColumn: 'at',
          lists: [
            {
              name: 'products',
              file: 'lines',
              mappings: [
                { column: 'sku', property: 'productId' },
                { column: 'title', property: 'name' },
                { column: 'pieces', property: 'quantity' },
              ],
            },
          ],
          products: { list: 'products', id: 'productId', name: 'name', quantity: 'quantity' },
        },
      ],
    });
    await api.post(goals, {
      kind: 'import-groups',
      name: 'Companies',
      groupType: 'company',
      source: source('companies*.csv'),
      matching: { column: 'key' },
      mappings: [
        { column: 'name', property: 'name' },
        { column: 'revenue', property: 'revenue', rule: 'sum' },
      ],
    });
    await put('companies-1.csv', 'key,name,revenue', 'acme,Acme,150.5', 'bolt,Bolt,20', 'acme,Acme,0.1', ',Nobody,1');
    await put('people-1.csv', 'id,company,level', 'p1,acme,call', 'p2,bolt,none', 'p3,acme;bolt,write', 'p4,,');
    await put('orders-1.csv', 'order,id,at', 'o1,p1,2026-01-01', 'o2,p1,2026-02-01');
    await put('lines-1.csv', 'order,sku,title,pieces', 'o1,s1,Anvil,3', 'o2,s2,Rope,1', 'o2,s1,Anvil XL,1');
  });

  afterAll(async () => {
    await millrace?.stop();
  });

  it('run in their order in one run, and each row has one outcome', async () => {
    const first = await run();
    expect(first.goals.map(({ kind, state }) => [kind, state])).toEqual([
      ['import-groups', 'succeeded'],
      ['import-profiles', 'succeeded'],
      ['export-profiles', 'succeeded'],
    ]);
    expect(first.goals.map(({ counts }) => counts)).toMatchObject([
      { rowsRead: 4, created: 3, rejected: 1, groupsCreated: 2 },
      { rowsRead: 4, created: 4, groupsLinked: 4, events: 2, eventLines: 3, products: 2 },
      { rows: 2, mode: 'full' },
    ]);
    expect(await exported(first)).toEqual([
      ['p1', 'acme', '150.6', 'key account', 'call'],
      ['p3', 'acme;bolt', '150.6;20', 'key account', 'write'],
    ]);
  });

  it('show groups and products by the API', async () => {
    const { api } = millrace;
    const { id, groups } = await profile('p1');
    expect(groups).toEqual([{ type: 'company', key: 'acme', properties: { name: 'Acme', revenue: 150.6 } }]);
    expect(await api.get(`${path}/groups/company/acme`)).toMatchObject({ members: 2 });
    expect(await api.get(`${path}/products/s1`)).toMatchObject({ name: 'Anvil XL' });
    const ids = async (order: string): Promise<readonly string[]> =>
      (await api.get<{ items: Identified[] }>(`${path}/profiles/${id}/products?order=${order}`)).items.map(
        (item) => item.id,
      );
    expect(await ids('most-bought')).toEqual(['s1', 's2']);
    expect((await ids('most-recent')).length).toBe(2);
  });

  it('export, after a company alone has changed, whom that concerns, and no sum is added twice', async () => {
    await put('companies-2.csv', 'key,name,revenue', 'bolt,Bolt,200');
    const second = await run();
    expect(second.goals.map(({ counts }) => counts)).toMatchObject([
      { files: 1, filesSkipped: 1, rowsRead: 1, updated: 1, groupsUpdated: 1 },
      { files: 0, filesSkipped: 1 },
      { mode: 'delta', rows: 2 },
    ]);
    expect(await exported(second)).toEqual([
      ['p2', 'bolt', '220', 'key account', 'none'],
      ['p3', 'acme;bolt', '150.6;220', 'key account', 'write'],
    ]);
  });
});
