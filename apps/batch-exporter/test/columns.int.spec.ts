import { randomUUID } from 'node:crypto';
import { sql } from '@millrace/database';
import { copyOptions } from '@millrace/delimited';
import { csvDialect } from '@millrace/domain';
import { createNamespace, createSegment, buildSegments } from '@millrace/profile-store';
import { ExportFixture } from './export-fixture.js';

const nasty = [
  '',
  ' ',
  'a,b',
  'say "hi"',
  'two\nlines',
  'cr\rlf\r\n',
  '\\N',
  '\\.',
  'NULL',
  'tab\there',
  ';',
  "it's",
  'back\\slash',
  'ÅÄÖ €',
  '🎈',
  '﻿mark',
  '=1+1',
];

describe('the columns of an export', () => {
  let fixture: ExportFixture;
  let ids: readonly string[];

  beforeAll(async () => {
    fixture = await ExportFixture.create('columns');
    ids = await fixture.addProfiles([
      {
        email: 'full@x.test',
        'person.name': 'Åsa "the" B',
        points: 7,
        spent: 1,
        active: true,
        birthday: '1990-02-28',
        tags: ['a', 'b;c', 'd', 'e', 'f', 'g'],
        prices: [1.5, 2],
      },
      { email: 'empty@x.test', 'person.name': '', active: false, tags: [], prices: [0.1] },
      { email: 'bare@x.test' },
    ]);
    await fixture.database.query(
      sql`UPDATE profile.profile SET properties = jsonb_set(properties, '{spent}', '12345678901234567890.10') WHERE properties ? 'spent'`,
    );
    const namespace = await createNamespace(fixture.database, fixture.workspaceId, {
      code: 'crm',
      kind: 'crm-id',
      normalisation: { trim: true, case: 'keep', digitsOnly: false, hash: 'none' },
    });
    for (const [id, value, age] of [
      [ids[0], 'C-2', 1],
      [ids[0], 'C-1', 2],
      [ids[1], 'C-3', 1],
    ] as const) {
      await fixture.database.query(sql`
        INSERT INTO profile.identity (domain_group_id, namespace_id, value, profile_id, created_at)
        SELECT domain_group_id, ${namespace.id}, ${value}, id, now() - make_interval(days => ${age}) FROM profile.profile WHERE id = ${id}`);
    }
    await fixture.database.query(
      sql`INSERT INTO profile.consent (profile_id, objective, granted) VALUES (${ids[0]}, 'news', true), (${ids[1]}, 'news', false)`,
    );
    await createSegment(fixture.database, fixture.workspaceId, {
      name: 'Active',
      rule: { kind: 'property', property: 'active', op: 'equals', value: true },
    });
    while (await buildSegments(fixture.database)) continue;
    fixture.startWorker();
  });

  afterAll(async () => {
    await fixture.close();
  });

  const property = (name: string): object => ({ header: name, source: { kind: 'property', property: name } });
  const everything = [
    ...['email', 'person.name', 'points', 'spent', 'active', 'birthday', 'tags', 'prices'].map(property),
    { header: 'CRM', source: { kind: 'identity', namespace: 'crm' } },
    { header: 'Segments', source: { kind: 'segments' } },
    { header: 'News', source: { kind: 'consent', objective: 'news' } },
    { header: 'Country', source: { kind: 'fixed', text: 'S"E' } },
  ];

  const lines = async (goal: Readonly<Record<string, unknown>>): Promise<readonly string[]> => {
    const { outcome, counts, error } = await fixture.run(
      randomUUID(),
      fixture.goal({ fileName: '%TIMESTAMP%', ...goal }),
    );
    expect({ outcome, error }).toEqual({ outcome: 'succeeded', error: undefined });
    return (await fixture.read(counts.files[0]?.name ?? '')).toString().split('\n').slice(0, -1).sort();
  };

  it('write stored values as they are, exact, with lists joined and no value told from empty', async () => {
    expect(await lines({ columns: everything })).toEqual([
      'bare@x.test,,,,,,,,,Everyone,,"S""E"',
      'email,person.name,points,spent,active,birthday,tags,prices,CRM,Segments,News,Country',
      'empty@x.test,"",,,false,,,0.1,C-3,Everyone,false,"S""E"',
      'full@x.test,"Åsa ""the"" B",7,12345678901234567890.10,true,1990-02-28,a;b\\;c;d;e;f;g,1.5;2,C-1;C-2,Active;Everyone,true,"S""E"',
    ]);
  });

  it('follow the dialect in decimals, boolean words, lists and no value', async () => {
    const csv = {
      delimiter: ';',
      decimalSeparator: ',',
      trueWords: ['ja'],
      falseWords: ['nein'],
      list: { separator: '|', open: '[', close: ']' },
      nullText: 'NULL',
    };
    expect(await lines({ columns: everything, csv })).toEqual(
      [
        'bare@x.test;NULL;NULL;NULL;NULL;NULL;NULL;NULL;NULL;[Everyone];NULL;"S""E"',
        'email;person.name;points;spent;active;birthday;tags;prices;CRM;Segments;News;Country',
        'empty@x.test;;NULL;NULL;nein;NULL;NULL;[0,1];C-3;[Everyone];nein;"S""E"',
        'full@x.test;"Åsa ""the"" B";7;12345678901234567890,10;ja;1990-02-28;[a|b;c|d|e|f|g];[1,5|2];[C-1|C-2];[Active|Everyone];ja;"S""E"',
      ].map((line) => line.replace('[a|b;c|d|e|f|g]', '"[a|b;c|d|e|f|g]"')),
    );
  });

  it('carry headers of any length and alphabet', async () => {
    const header = `Ελληνικά, ${'x'.repeat(200)}`;
    expect(await lines({ columns: [{ header, source: { kind: 'property', property: 'email' } }] })).toContain(
      `"${header}"`,
    );
  });

  it('name the profile by its id', async () => {
    expect(
      await lines({ columns: [{ header: 'id', source: { kind: 'profile-id' } }], csv: { header: false } }),
    ).toEqual([...ids].sort());
  });

  it('have the same bytes whether COPY writes the rows or this process does', async () => {
    await fixture.database.query(
      sql`UPDATE profile.membership SET status = 'exited' WHERE profile_id = ANY (${ids}::uuid[])`,
    );
    const texts = nasty.flatMap((first) => [
      { email: first, 'person.name': 'x' },
      { email: first },
      { 'person.name': first, email: 'y' },
    ]);
    const added = await fixture.addProfiles(texts);
    const columns = [property('email'), property('person.name')];
    const bytes = async (csv: object): Promise<string> => {
      const { counts, error } = await fixture.run(
        randomUUID(),
        fixture.goal({ fileName: '%TIMESTAMP%', columns, csv }),
      );
      expect(error).toBeUndefined();
      expect(counts.rows).toBe(texts.length);
      return (await fixture.read(counts.files[0]?.name ?? '')).toString();
    };
    for (const csv of [
      {},
      { quotePolicy: 'all' },
      { escape: 'backslash' },
      { nullText: 'NULL', nullWords: ['NULL'] },
      { delimiter: '\t', quote: "'" },
      { quote: null, escape: 'backslash', nullText: '\\N', delimiter: '\t' },
    ]) {
      const dialect = csvDialect.parse(csv);
      expect(copyOptions(dialect)).toBeDefined();
      // A null word no text has is one COPY cannot protect: the rows go the other way, and nothing else is different.
      const slow = { ...csv, nullWords: [...dialect.nullWords, 'no such text'] };
      expect(copyOptions(csvDialect.parse(slow)) === undefined).toBe(dialect.quotePolicy !== 'all');
      expect(await bytes(slow)).toBe(await bytes(csv));
    }
    const crlf = await bytes({ lineEnding: 'crlf' });
    expect(crlf).toContain('"say ""hi""",x\r\n');
    await fixture.database.query(sql`DELETE FROM profile.profile WHERE id = ANY (${added}::uuid[])`);
    await fixture.database.query(
      sql`UPDATE profile.membership SET status = 'realized' WHERE profile_id = ANY (${ids}::uuid[])`,
    );
  });

  it('stand in the charset asked for, and a character it lacks fails the run by name', async () => {
    const columns = [property('person.name')];
    const { counts } = await fixture.run(
      randomUUID(),
      fixture.goal({ fileName: '%TIMESTAMP%', columns, csv: { charset: 'windows-1252' } }),
    );
    expect((await fixture.read(counts.files[0]?.name ?? '')).includes(Buffer.from('Åsa', 'latin1'))).toBe(true);
    const [id] = await fixture.addProfiles([{ 'person.name': 'balloon 🎈' }]);
    const failed = await fixture.run(
      randomUUID(),
      fixture.goal({ fileName: '%TIMESTAMP%', columns, csv: { charset: 'windows-1252' } }),
    );
    expect(failed).toMatchObject({ outcome: 'failed', error: { code: 'not-encodable' } });
    expect(failed.error?.message).not.toContain('balloon');
    const utf16 = await fixture.run(
      randomUUID(),
      fixture.goal({ fileName: '%TIMESTAMP%', columns, csv: { charset: 'utf-16le' } }),
    );
    expect((await fixture.read(utf16.counts.files[0]?.name ?? '')).toString('utf16le')).toContain('balloon 🎈');
    await fixture.database.query(sql`DELETE FROM profile.profile WHERE id = ${id}`);
  });
});
