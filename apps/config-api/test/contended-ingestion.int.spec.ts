import { sql } from '@millrace/database';
import { startApi, w, type Api } from './api-fixture.js';

let api: Api;
const [clients, batchesEach, people] = [20, 3, 50];

beforeAll(async () => {
  api = await startApi('contended_ingestion');
  await api.call('POST', `${w}/properties`, { name: 'visits', type: 'integer' });
  await api.call('POST', `${w}/properties`, { name: 'tags', list: true });
  const rule = { kind: 'property', property: 'visits', op: 'greater-or-equal', value: clients * batchesEach };
  expect((await api.call('POST', `${w}/segments`, { name: 'Regulars', rule })).status).toBe(201);
});
afterAll(() => api?.close());

/** The same people for everybody, in an order of its own for each batch; half of them by e-mail, half by telephone. */
function batch(client: number, round: number): object {
  const shift = (client * 17 + round * 29) % people;
  const order = Array.from({ length: people }, (_, index) => (index * 7 + shift) % people);
  return {
    batchId: `client ${client} round ${round}`,
    updates: order.map((person) => ({
      identities:
        round === 0 || (person + client) % 3 === 0
          ? [
              { namespace: 'email', value: `person-${person}@example.org` },
              { namespace: 'phone', value: `0049${1000 + person}` },
            ]
          : [
              person % 2 === 0
                ? { namespace: 'email', value: `person-${person}@example.org` }
                : { namespace: 'phone', value: `0049${1000 + person}` },
            ],
      properties: [
        { property: 'visits', value: 1, rule: 'sum' },
        { property: 'tags', value: [`client ${client}`], rule: 'add' },
      ],
    })),
  };
}

it('twenty clients that write the same fifty people at once lose nothing and are refused nothing', async () => {
  const outcomes = new Map<string, number>();
  const seen = new Set<number>();
  let over = false;
  // Somebody who looks at something else meanwhile.
  const onlooker = (async () => {
    while (!over) {
      seen.add((await api.call('GET', `${w}/segments`)).status);
    }
  })();
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      for (let round = 0; round < batchesEach; round += 1) {
        const { status, body } = await api.call('POST', `${w}/ingestion/batches`, batch(client, round));
        const words =
          status === 200 ? body.items.map(({ outcome }: { outcome: string }) => outcome) : [`${status} ${body.code}`];
        for (const word of words) outcomes.set(word, (outcomes.get(word) ?? 0) + 1);
      }
    }),
  );
  over = true;
  await onlooker;
  expect([...seen]).toEqual([200]);
  expect(Object.fromEntries(outcomes)).toEqual({ created: people, updated: clients * batchesEach * people - people });
  const { rows } = await api.database.query<{
    profiles: number;
    visits: number[];
    tags: number[];
    realized: number;
  }>(sql`
    SELECT count(*)::int AS profiles, array_agg(DISTINCT (properties ->> 'visits')::int) AS visits,
      array_agg(DISTINCT jsonb_array_length(properties -> 'tags')) AS tags,
      (SELECT count(*)::int FROM profile.membership WHERE status = 'realized') AS realized
    FROM profile.profile`);
  expect(rows).toEqual([{ profiles: people, visits: [clients * batchesEach], tags: [clients], realized: people }]);
  expect(api.log()).not.toContain('deadlock');
});
