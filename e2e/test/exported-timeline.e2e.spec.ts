import { waitFor } from '@millrace/testing';
import { isOver, type Identified, type RunView } from './api.js';
import { parseCsv } from './csv.js';
import { Millrace } from './millrace.js';

const path = '/workspaces/timeline';
const bucket = 'timeline-bucket';

interface File {
  readonly name: string;
  readonly rows: number;
}

describe('the events of exported people, in files of their own', () => {
  let millrace: Millrace;
  let connectionId: string;
  let segmentId: string;

  const person = (id: string, ...events: readonly object[]): object => ({
    identities: [
      { namespace: 'customerId', value: id },
      { namespace: 'email', value: `${id}@x.test` },
    ],
    properties: [{ property: 'city', value: 'Ulm' }],
    events,
  });
  const order = (id: string, day: string, total: number, ...skus: readonly string[]): object => ({
    type: 'order',
    id,
    occurredAt: `2026-${day}T10:00:00Z`,
    properties: { total },
    lists: { products: skus.map((productId, index) => ({ productId, quantity: index + 1 })) },
  });
  const visit = (id: string, day: string, store: string): object => ({
    type: 'visit',
    id,
    occurredAt: `2026-${day}T12:00:00Z`,
    properties: { store },
  });
  const ingest = async (...updates: readonly object[]): Promise<void> => {
    const answer = await millrace.api.post<{ readonly items: readonly { readonly outcome: string }[] }>(
      `${path}/ingestion/batches`,
      { batchId: crypto.randomUUID(), updates },
    );
    for (const { outcome } of answer.items) expect(outcome).not.toBe('rejected');
  };
  const goal = async (name: string, changes: object): Promise<string> => {
    const { id } = await millrace.api.post<Identified>(`${path}/connections/${connectionId}/goals`, {
      kind: 'export-profiles',
      name,
      segmentId,
      target: { bucket, directory: name },
      fileName: '%DATETIME%',
      columns: [
        { header: 'mail', source: { kind: 'identity', namespace: 'email' } },
        { header: 'city', source: { kind: 'property', property: 'city' } },
        { header: 'status', source: { kind: 'membership-status' } },
      ],
      ...changes,
    });
    return id;
  };
  /** Runs the connection; the files of each of its goals, by name. */
  const run = async (): Promise<ReadonlyMap<string, readonly File[]>> => {
    const { id } = await millrace.api.post<Identified>(`${path}/connections/${connectionId}/runs`);
    const ended = await waitFor(
      async () => {
        const view = await millrace.api.get<RunView>(`${path}/runs/${id}`);
        return isOver(view) && view;
      },
      180_000,
      'the end of the run',
    );
    expect(ended.state).toBe('succeeded');
    return new Map(ended.goals.map(({ goalId, counts }) => [goalId, counts['files'] as readonly File[]]));
  };
  /** Header and rows of a file, the rows in alphabetical order. */
  const rowsOf = async (files: readonly File[] | undefined, ending: string): Promise<readonly string[]> => {
    const found = (files ?? []).filter(({ name }) => name.endsWith(ending));
    expect(found.map(({ name }) => name)).toHaveLength(1);
    const [header = [], ...rows] = parseCsv((await millrace.bucket.get(bucket, found[0]!.name)).toString());
    expect(rows).toHaveLength(found[0]!.rows);
    return [header.join(), ...rows.map((row) => row.join()).sort()];
  };
  const profileId = async (customerId: string): Promise<string> =>
    (await millrace.api.get<Identified>(`${path}/profiles?namespace=customerId&value=${customerId}`)).id;

  beforeAll(async () => {
    millrace = await Millrace.start('timeline');
    const { api, stack } = millrace;
    await api.post('/workspaces', { name: 'timeline' });
    await millrace.bucket.createBucket(bucket);
    await api.post(`${path}/properties`, { name: 'city' });
    await api.post(`${path}/event-types`, { code: 'visit', properties: [{ name: 'store' }] });
    segmentId = (
      await api.post<Identified>(`${path}/segments`, {
        name: 'From Ulm',
        rule: { kind: 'property', property: 'city', op: 'equals', value: 'Ulm' },
      })
    ).id;
    connectionId = (
      await api.post<Identified>(`${path}/connections`, {
        kind: 's3',
        name: 'Bucket',
        endpoint: stack.urls.s3,
        credentials: { kind: 'access-key', ...stack.credentials },
      })
    ).id;
    await ingest(
      person(
        'p1',
        order('o1', '01-10', 10.5, 's1', 's2'),
        order('o2', '03-10', 7, 's1'),
        visit('v1', '02-01', 'Mitte'),
      ),
      person('p2', visit('v2', '02-02', 'Nord')),
      person('p3'),
    );
  });

  afterAll(async () => {
    await millrace?.stop();
  });

  it('are those of all types and all time, or of one and a period, with their lists beside them; and a delta has those who are due', async () => {
    const all = await goal('all', { timeline: {} });
    const some = await goal('some', {
      timeline: {
        types: ['order'],
        from: '2026-03-01T00:00:00Z',
        until: '2026-04-01T00:00:00+02:00',
        fileName: '%EVENT_TYPE%_%DATETIME%',
      },
    });
    const [one, two] = [await profileId('p1'), await profileId('p2')];
    const full = await run();
    const everything = full.get(all);
    expect(await rowsOf(everything, '_visit.csv')).toEqual([
      'profile_id,event_id,occurred_at,store',
      ...[`${one},v1,2026-02-01T12:00:00.000Z,Mitte`, `${two},v2,2026-02-02T12:00:00.000Z,Nord`].sort(),
    ]);
    const orders = await rowsOf(everything, '_order.csv');
    expect(orders[0]).toMatch(/^profile_id,event_id,occurred_at,.*total/);
    expect(orders.slice(1).map((row) => row.split(',').slice(0, 3).join())).toEqual([
      `${one},o1,2026-01-10T10:00:00.000Z`,
      `${one},o2,2026-03-10T10:00:00.000Z`,
    ]);
    const lines = await rowsOf(everything, '_order_products.csv');
    expect(lines[0]).toMatch(/^event_id,position,productId/);
    expect(lines.slice(1).map((row) => row.split(',').slice(0, 3).join())).toEqual(['o1,1,s1', 'o1,2,s2', 'o2,1,s1']);
    expect(everything).toHaveLength(4);

    const march = full.get(some) ?? [];
    expect(march.map(({ name }) => name.replace(/\d{8}_\d{6}/, 'T').replace(/\d{8}_\d{6}/, 'T'))).toEqual([
      'some/T.csv',
      'some/order_T.csv',
      'some/order_T_products.csv',
    ]);
    expect((await rowsOf(march.slice(1, 2), '.csv')).slice(1).map((row) => row.split(',')[1])).toEqual(['o2']);
    expect((await rowsOf(march.slice(2), '_products.csv')).slice(1).map((row) => row.split(',')[0])).toEqual(['o2']);

    await ingest({
      identities: [{ namespace: 'customerId', value: 'p2' }],
      properties: [{ property: 'city', value: 'Ulm' }],
      events: [visit('v3', '05-01', 'Nord')],
    });
    const calm = await run();
    expect([calm.get(all), calm.get(some)]).toEqual([[], []]);
    await ingest({
      identities: [
        { namespace: 'customerId', value: 'p2' },
        { namespace: 'customerId', value: 'p2-too' },
      ],
    });
    const delta = await run();
    expect((await rowsOf(delta.get(all), '_visit.csv')).slice(1).map((row) => row.split(',')[1])).toEqual(['v2', 'v3']);
  });

  it('end with who is erased: a tombstone says by what the receiver knew them, once', async () => {
    const told = await goal('told', { tombstones: true });
    await run();
    await millrace.api.call('DELETE', `${path}/profiles/${await profileId('p3')}`);
    const files = (await run()).get(told);
    expect(await rowsOf(files, '.csv')).toEqual(['mail,city,status', 'p3@x.test,,erased']);
    expect((await run()).get(told)).toEqual([]);
  });
});
