import { randomUUID } from 'node:crypto';
import { sql } from '@millrace/database';
import { ExportFixture } from './export-fixture.js';

describe('the size that an upload is planned for', () => {
  let fixture: ExportFixture;
  const bounds = new Map<string, number>();

  beforeAll(async () => {
    fixture = await ExportFixture.create('size_bound');
    await fixture.addProfiles(
      Array.from({ length: 2000 }, (_, index) => ({
        email: `user${index}@x.test`,
        points: index,
        'person.name': `Zoë ${index} ${randomUUID()}`,
        tags: ['a', 'b', 'c'],
      })),
    );
    fixture.startWorker(
      fixture.exporter({
        openTarget: ({ endpoint }) => {
          const store = fixture.store();
          return {
            endpoint,
            store: {
              ...store,
              startUpload: async (bucket, key, options) => {
                bounds.set(key, options?.expectedBytes ?? 0);
                return await store.startUpload(bucket, key, options);
              },
            },
          };
        },
      }),
    );
  });

  afterAll(async () => {
    await fixture.close();
  });

  const column = (property: string, header = property): object => ({ header, source: { kind: 'property', property } });
  const cases: readonly (readonly [string, Readonly<Record<string, unknown>>, string | undefined])[] = [
    ['usual rows', { columns: [column('email'), column('points'), column('person.name'), column('tags')] }, undefined],
    [
      'one long text in many columns',
      { columns: Array.from({ length: 20 }, (_, index) => column('person.name', `n${index}`)) },
      undefined,
    ],
    [
      'two bytes a character, all in quotes',
      { columns: [column('email'), column('points')], csv: { charset: 'utf-16le', quotePolicy: 'all' } },
      undefined,
    ],
    [
      'fixed text',
      { columns: [column('email'), { header: 'f', source: { kind: 'fixed', text: 'x'.repeat(4000) } }] },
      undefined,
    ],
    ['texts that the database compresses', { columns: [column('person.name')] }, 'x'.repeat(20_000)],
  ];
  it.each(cases)('is not outgrown: %s', async (_name, goal, name) => {
    if (name !== undefined)
      await fixture.database.query(
        sql`UPDATE profile.profile SET properties = properties || jsonb_build_object('person.name', ${name}::text)`,
      );
    const { outcome, counts, error } = await fixture.run(randomUUID(), fixture.goal(goal));
    expect({ outcome, error }).toEqual({ outcome: 'succeeded', error: undefined });
    for (const file of counts.files) expect(file.bytes).toBeLessThanOrEqual(bounds.get(file.name) ?? 0);
  });
});
