import { sql } from '@millrace/database';
import { waitFor } from '@millrace/testing';
import { startApi, w, type Api } from './api-fixture.js';

let api: Api;
beforeAll(async () => {
  api = await startApi('ingestion');
  for (const property of [
    { name: 'person.name' },
    { name: 'person.points', type: 'decimal' },
    { name: 'visits', type: 'integer' },
    { name: 'tags', list: true },
  ]) {
    await api.call('POST', `${w}/properties`, property);
  }
});
afterAll(() => api.close());

const update = (email: string, more: object = {}): object => ({
  identities: [{ namespace: 'email', value: email }],
  ...more,
});
const set = (property: string, value: unknown, rule = 'set'): object => ({ property, value, rule });
const ingest = (body: unknown) => api.call('POST', `${w}/ingestion/batches`, body);
const find = (email: string) => api.call('GET', `${w}/profiles?namespace=email&value=${encodeURIComponent(email)}`);
const outcomes = (answer: { body: { items: { outcome: string }[] } }): string[] =>
  answer.body.items.map(({ outcome }) => outcome);

describe('a batch', () => {
  it('creates, updates and leaves profiles, each item with its outcome', async () => {
    const ada = update('ada@example.org', {
      properties: [set('person.name', 'Ada'), set('tags', ['x', 'y'], 'add')],
      consent: [{ objective: 'ads', granted: true }],
    });
    const first = await ingest({
      batchId: 'one',
      updates: [ada, update('not-there@example.org', { identities: [] }), { colour: 'red' }],
    });
    expect(outcomes(first)).toEqual(['created', 'rejected', 'rejected']);
    expect(first.body.items[1].reason).toContain('identities');
    expect(
      outcomes(
        await ingest({
          batchId: 'two',
          updates: [ada, update(' ADA@example.org', { properties: [set('person.name', 'Ada L.')] })],
        }),
      )[1],
    ).toBe('updated');
    const profile = (await find('Ada@Example.org ')).body;
    expect(profile).toMatchObject({
      id: first.body.items[0].profileId,
      properties: { person: { name: 'Ada L.' }, tags: ['x', 'y'] },
      identities: [{ namespace: 'email', value: 'ada@example.org' }],
      consent: { ads: true },
      events: [],
    });
    expect((await api.call('GET', `${w}/profiles/${profile.id}`)).body).toEqual(profile);
  });

  it('keeps every digit of numbers, in and out', async () => {
    const number = '12345678901234567890.123456789012345678';
    const body = `{"batchId":"digits","updates":[{"identities":[{"namespace":"email","value":"n@example.org"}],
      "properties":[{"property":"person.points","value":${number}}]}]}`;
    expect((await ingest(body)).status).toBe(200);
    expect((await find('n@example.org')).text).toContain(`"points":${number}`);
  });

  it('is applied once, however often it is sent', async () => {
    const batch = { batchId: 'sum', updates: [update('s@example.org', { properties: [set('visits', 1, 'sum')] })] };
    const answers = await Promise.all(Array.from({ length: 6 }, () => ingest(batch)));
    const again = await ingest(`  ${JSON.stringify({ updates: batch.updates, batchId: 'sum' })}`);
    for (const answer of [...answers, again]) expect(answer.body).toEqual(answers[0]!.body);
    expect((await find('s@example.org')).body.properties.visits).toBe(1);
  });

  it('cannot borrow the id of another batch', async () => {
    await ingest({ batchId: 'mine', updates: [update('m@example.org')] });
    expect(await ingest({ batchId: 'mine', updates: [update('other@example.org')] })).toMatchObject({
      status: 409,
      body: { code: 'batch-conflict' },
    });
    expect((await find('other@example.org')).status).toBe(404);
  });

  it('leaves no trace when it cannot be read', async () => {
    for (const body of ['{"batchId":', { batchId: 'empty', updates: [] }, { updates: [update('x@example.org')] }])
      expect((await ingest(body)).status).toBe(400);
    const { rows } = await api.database.query(sql`SELECT FROM config.ingestion_batch WHERE batch_id = 'empty'`);
    expect(rows).toHaveLength(0);
  });

  it('may be large, up to 10 MiB', async () => {
    const name = 'x'.repeat(9000);
    const large = {
      batchId: 'large',
      updates: Array.from({ length: 300 }, (_, index) =>
        update(`l${index}@example.org`, { properties: [set('person.name', name)] }),
      ),
    };
    expect(new Set(outcomes(await ingest(large)))).toEqual(new Set(['created']));
    expect((await ingest({ batchId: 'larger', updates: [{ text: 'x'.repeat(11 * 1024 * 1024) }] })).status).toBe(413);
  });

  it('takes no profiles into being where creation is not allowed', async () => {
    expect(
      outcomes(await ingest({ batchId: 'no', allowCreation: false, updates: [update('nobody@example.org')] })),
    ).toEqual(['skipped']);
  });

  it('brings events, which count for segments at once', async () => {
    const rule = { kind: 'event', type: 'order', aggregate: 'sum', property: 'total', op: 'greater', value: 100 };
    const segment = (await api.call('POST', `${w}/segments`, { name: 'Big spenders', rule })).body.id;
    await waitFor(async () => (await api.call('GET', `${w}/segments/${segment}`)).body.state === 'current');
    const order = (id: string, total: number): object => ({
      type: 'order',
      id,
      occurredAt: '2026-02-03T04:05:06+01:00',
      properties: { total },
      lists: { products: [{ productId: 'p', quantity: 2 }] },
    });
    await ingest({
      batchId: 'orders',
      updates: [update('o@example.org', { events: [order('o1', 60), order('o2', 60)] })],
    });
    expect((await find('o@example.org')).body).toMatchObject({
      segments: [{ id: segment, name: 'Big spenders', status: 'realized' }],
      events: [
        {
          type: 'order',
          occurredAt: '2026-02-03T03:05:06.000Z',
          lists: { products: [{ productId: 'p', quantity: 2 }] },
        },
        {},
      ],
    });
    expect((await api.call('GET', `${w}/segments/${segment}`)).body.members).toBe(1);
    expect((await api.call('GET', `${w}/statistics`)).body).toMatchObject({
      events: 2,
      eventLines: 2,
      memberships: 1,
      segments: 1,
      runs: 0,
    });
  });

  it('rejects what cannot be stored, and only that item', async () => {
    const bad = [
      set('visits', 'many'),
      set('nose', 1),
      set('person.name', 'a\u0000b'),
      set('person.points', '1e400000'),
      set('visits', 'x'.repeat(100_000)),
    ];
    const answer = await ingest({
      batchId: 'bad',
      updates: [
        ...bad.map((property) => update('b@example.org', { properties: [property] })),
        update('good@example.org'),
      ],
    });
    expect(outcomes(answer)).toEqual([...bad.map(() => 'rejected'), 'created']);
    const identity = await ingest({
      batchId: 'bad-identity',
      updates: [{ identities: [{ namespace: 'email', value: 'a\u0000b' }] }],
    });
    expect(outcomes(identity)).toEqual(['rejected']);
  });

  it('leaves nothing of an item that is wrong in one place, and its neighbours whole', async () => {
    const event = { type: 'order', id: 'half-1', occurredAt: '2026-01-02T03:04:05Z' };
    const whole = {
      properties: [set('visits', 1, 'sum'), set('tags', ['half'], 'add')],
      consent: [{ objective: 'half', granted: true }],
      events: [event],
    };
    const wrong: readonly object[] = [
      { ...whole, properties: [...whole.properties, set('person.points', 'many')] },
      { ...whole, events: [event, { ...event, id: 'half-2', occurredAt: 'yesterday' }] },
      { ...whole, events: [{ ...event, type: 'no such type' }] },
      { ...whole, groups: [{ type: 'no such type', key: 'x' }] },
      { ...whole, consent: [...whole.consent, { objective: '', granted: true }] },
      {
        ...whole,
        identities: [
          { namespace: 'email', value: 'half@example.org' },
          { namespace: 'fax', value: '1' },
        ],
      },
    ];
    await ingest({ batchId: 'half-before', updates: [update('half@example.org', { properties: [set('visits', 5)] })] });
    const before = (await find('half@example.org')).body;
    for (const [index, more] of wrong.entries()) {
      const answer = await ingest({
        batchId: `half-${index}`,
        updates: [
          update('half@example.org', more),
          update(`neighbour-${index}@example.org`, { properties: [set('visits', 1)] }),
        ],
      });
      expect(outcomes(answer)).toEqual(['rejected', 'created']);
      expect((await find('half@example.org')).body).toEqual(before);
    }
    expect(outcomes(await ingest({ batchId: 'half-after', updates: [update('half@example.org', whole)] }))).toEqual([
      'updated',
    ]);
    expect((await find('half@example.org')).body).toMatchObject({
      properties: { visits: 6, tags: ['half'] },
      consent: { half: true },
      events: [{ id: 'half-1' }],
    });
  });
});

describe('a group', () => {
  it('is made on first use, and its members follow', async () => {
    await ingest({ batchId: 'members', updates: [update('g1@example.org'), update('g2@example.org')] });
    const member = (value: string): object => ({ namespace: 'email', value });
    const put = (body: unknown) => api.call('PUT', `${w}/groups/company/acme`, body);
    expect(
      (
        await put({
          properties: { size: 12, tags: ['a'] },
          members: [member('g1@example.org'), member('stranger@example.org')],
        })
      ).body,
    ).toEqual({ type: 'company', key: 'acme', unknownMembers: 1 });
    expect(
      (
        await put(
          '{"properties":{"revenue":12345678901234567890.10},"members":[{"namespace":"email","value":"g2@example.org"}]}',
        )
      ).status,
    ).toBe(200);
    const text = (await find('g1@example.org')).text;
    expect(text).toContain('"revenue":12345678901234567890.10');
    expect(JSON.parse(text).groups).toMatchObject([
      { type: 'company', key: 'acme', properties: { size: 12, tags: ['a'] } },
    ]);
    expect((await find('g2@example.org')).body.groups).toHaveLength(1);
  });

  it('is refused with what cannot be stored', async () => {
    const put = (body: unknown) => api.call('PUT', `${w}/groups/company/bad`, body);
    const bad = [
      '{"properties":{"n":1e400000}}',
      { properties: { n: 'a\u0000b' } },
      { properties: { n: null } },
      { properties: { n: { m: 1 } } },
      { members: [{ namespace: 'fax', value: '1' }] },
      { colour: 'red' },
    ];
    for (const body of bad) expect((await put(body)).status).toBe(400);
  });
});

it('answers 404 where nobody has an identity, and 400 for an unknown namespace', async () => {
  expect((await find('nobody@nowhere.example')).status).toBe(404);
  expect((await api.call('GET', `${w}/profiles?namespace=fax&value=1`)).status).toBe(400);
  expect((await api.call('GET', `${w}/profiles?namespace=email`)).body.errors).toMatchObject([{ field: 'value' }]);
  expect((await api.call('GET', `${w}/profiles/0197a000-0000-7000-8000-000000000001`)).status).toBe(404);
});

it('logs no personal data', async () => {
  await find('private-person@example.org');
  await ingest({
    batchId: 'private',
    updates: [update('private-person@example.org', { properties: [set('visits', 'private-value')] })],
  });
  expect(api.log()).not.toContain('private');
});
