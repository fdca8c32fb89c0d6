import { readFileSync } from 'node:fs';
import { sql } from '@millrace/database';
import { buildSegments, createSegment, ingestBatch, loadCatalogue } from '@millrace/profile-store';
import { waitFor } from '@millrace/testing';
import { FakeStream } from './fake-stream.js';
import { startPublisher, type RunningPublisher } from './start-publisher.js';
import { StreamWorkspace } from './stream-workspace.js';

// Every case of the trigger table, written the way files and the API write, and what a goal sends for it: byte for byte, for each choice
// of segment names and timestamps, and by a connection that is linked to an objective. What differs from run to run (ids, times) stands
// as a word in the golden file after it was compared with what the store holds.

const golden = readFileSync(new URL('./golden/triggers.txt', import.meta.url), 'utf8');

const goals = {
  plain: {},
  names: { includeSegmentNames: true },
  timestamps: { includeSegmentTimestamps: true },
  'names-and-timestamps': { includeSegmentNames: true, includeSegmentTimestamps: true },
  suppressing: { suppressSameValue: true },
} as const;

let workspace: StreamWorkspace;
let running: RunningPublisher;
let stream: FakeStream;
let words: ReadonlyMap<string, string>;

beforeAll(async () => {
  workspace = await StreamWorkspace.create('golden_triggers');
  const { database, workspaceId } = workspace;
  const segment = async (name: string, property: string): Promise<string> => {
    const rule = { kind: 'property', property, op: property === 'points' ? 'greater-or-equal' : 'exists' } as const;
    const value = property === 'points' ? { value: 10 } : {};
    return (await createSegment(database, workspaceId, { name, rule: { ...rule, ...value } })).id;
  };
  const buyers = await segment('Buyers "gold"', 'points');
  const others = await segment('Others', 'secret');
  await waitFor(async () => !(await buildSegments(database)));
  stream = new FakeStream();
  for (const [name, options] of Object.entries(goals)) {
    const goal = { ...options, segmentIds: [buyers], streamName: name, envelope: false };
    await workspace.activate(workspace.snapshot(goal));
    await workspace.activate(workspace.snapshot({ ...goal, streamName: `${name}-consent` }, undefined, ['news']));
  }
  running = await startPublisher(workspace.url, stream);
  await waitFor(() => workspace.quiet());
  words = await storedWords(
    new Map([
      [buyers, 'buyers'],
      [others, 'others'],
    ]),
  );
});

afterAll(async () => {
  await running?.stop();
  await workspace.drop();
});

/** What the store holds of each segment and mapping, and the word that stands for it in the golden file. */
async function storedWords(names: ReadonlyMap<string, string>): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const { rows } = await workspace.database.query<{ id: string; created: string; updated: string }>(sql`
    SELECT id, floor(date_part('epoch', created_at) * 1000)::bigint AS created, floor(date_part('epoch', updated_at) * 1000)::bigint AS updated
    FROM profile.segment`);
  for (const { id, created, updated } of rows) {
    const name = names.get(id) ?? '?';
    found.set(`"${id}":`, `"<${name}>":`);
    found.set(`"createdAt":${created},`, '"createdAt":<created>,');
    found.set(`"updatedAt":${updated}`, '"updatedAt":<updated>');
  }
  const mapped = await workspace.database.query<{ created: string; updated: string }>(sql`
    SELECT floor(date_part('epoch', created_at) * 1000)::bigint AS created, floor(date_part('epoch', updated_at) * 1000)::bigint AS updated
    FROM publisher.mapped_segment`);
  for (const { created, updated } of mapped.rows) {
    found.set(`"mappingCreatedAt":${created},`, '"mappingCreatedAt":<mapped>,');
    found.set(`"mappingUpdatedAt":${updated}`, '"mappingUpdatedAt":<mapping updated>');
  }
  return found;
}

/** Times of qualification are those of the store to the millisecond, or of the change that ended the membership. */
async function withWords(text: string, profileId: string): Promise<string> {
  let plain = text;
  for (const [found, word] of words) plain = plain.replaceAll(found, word);
  const { rows } = await workspace.database.query<{ at: Date }>(
    sql`SELECT qualified_at AS at FROM profile.membership WHERE profile_id = ${profileId}`,
  );
  for (const { at } of rows)
    plain = plain.replaceAll(`"lastQualificationTime":"${at.toISOString()}"`, '"lastQualificationTime":"<qualified>"');
  return plain.replace(
    /"lastQualificationTime":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","status":"exited"/g,
    '"lastQualificationTime":"<now>","status":"exited"',
  );
}

type Update = Readonly<Record<string, unknown>>;

/** Through the merge engine, as files and the API go. */
async function write(person: string, more: Update): Promise<string> {
  const { database, workspaceId } = workspace;
  const [item] = await database.transaction(async (tx) => {
    const update = { identities: [{ namespace: 'email', value: `${person}@example.com` }], ...more };
    return ingestBatch(tx, await loadCatalogue(tx, workspaceId), [update], { allowCreation: true });
  });
  return item?.profileId ?? '';
}

const set = (values: Readonly<Record<string, unknown>>): Update => ({
  properties: Object.entries(values).map(([property, value]) => ({ property, value })),
});
const consent = (granted: boolean): Update => ({ consent: [{ objective: 'news', granted }] });
const buyer: Update = set({ points: 12.5, 'person.name': 'Ada "A."' });

interface Case {
  readonly name: string;
  /** Written first, and sent. */
  readonly before?: Update;
  readonly change: (person: string, profileId: string) => Promise<unknown>;
}

const cases: readonly Case[] = [
  { name: 'a profile is created in a mapped segment', change: (person) => write(person, buyer) },
  { name: 'a profile is created in no mapped segment', change: (person) => write(person, set({ points: 1 })) },
  {
    name: 'a mapped segment is entered',
    before: set({ points: 1 }),
    change: (person) => write(person, set({ points: 10 })),
  },
  { name: 'a mapped segment is left', before: buyer, change: (person) => write(person, set({ points: 9.99 })) },
  {
    name: 'an unmapped segment is entered by an unmapped attribute',
    before: buyer,
    change: (person) => write(person, set({ secret: 'x' })),
  },
  {
    name: 'an identity is added',
    before: buyer,
    change: (person) =>
      write(person, {
        identities: [
          { namespace: 'email', value: `${person}@example.com` },
          { namespace: 'customerId', value: `C-${person}` },
        ],
      }),
  },
  {
    name: 'an identity is removed',
    before: { ...buyer, identities: [{ namespace: 'customerId', value: 'C-to-be-removed' }] },
    change: (_person, profileId) =>
      workspace.database.transaction(async (tx) => {
        await tx.query(sql`DELETE FROM profile.identity WHERE profile_id = ${profileId}`);
        await workspace.change(profileId, { identities: true }, tx);
      }),
  },
  {
    name: 'a mapped attribute is written',
    before: buyer,
    change: (person) => write(person, set({ 'person.name': 'Grace' })),
  },
  {
    name: 'a mapped attribute is written over with itself',
    before: buyer,
    change: (person) => write(person, set({ points: '12.5' })),
  },
  {
    name: 'several of these happen in one commit',
    before: buyer,
    change: (person) =>
      write(person, {
        ...set({ points: 2, 'person.name': 'Eve', secret: 'y' }),
        identities: [
          { namespace: 'email', value: `${person}@example.com` },
          { namespace: 'phone', value: '+49 30 1234' },
        ],
      }),
  },
  { name: 'consent is given', before: buyer, change: (person) => write(person, consent(true)) },
  {
    name: 'consent is withdrawn',
    before: { ...buyer, ...consent(true) },
    change: (person) => write(person, consent(false)),
  },
  {
    name: 'consent is withdrawn and given again',
    before: { ...buyer, ...consent(false) },
    change: (person) => write(person, { ...set({ points: 13 }), ...consent(true) }),
  },
  {
    name: 'the profile is erased',
    before: { ...buyer, ...consent(true) },
    change: (_person, profileId) => workspace.erase(profileId),
  },
  {
    name: 'the profile is erased and consented to nothing',
    before: buyer,
    change: (_person, profileId) => workspace.erase(profileId),
  },
];

it.each(cases.map((one, index) => [one.name, one, index] as const))('%s', async (name, { before, change }, index) => {
  const person = `person-${index}`;
  const known = before === undefined ? '' : await write(person, before);
  await waitFor(() => workspace.quiet());
  stream.accepted.length = 0;
  const changed = await change(person, known);
  await waitFor(() => workspace.quiet());
  const profileId = known === '' ? String(changed) : known;
  const lines: string[] = [];
  for (const goal of Object.keys(goals).flatMap((goal) => [goal, `${goal}-consent`])) {
    const records = stream.accepted.filter((record) => record.stream === goal);
    const texts = await Promise.all(records.map(({ text }) => withWords(text, profileId)));
    for (const record of records) expect(record.partitionKey).toBe(profileId);
    if (texts.length > 0) lines.push(`${goal}: ${texts.join(' ')}`);
  }
  expect([`## ${name}`, ...lines]).toEqual(sectionOf(name));
});

/** A goal that sends nothing has no line. */
function sectionOf(name: string): readonly string[] {
  const section = golden.split(/^(?=## )/m).find((text) => text.startsWith(`## ${name}\n`));
  return section?.trimEnd().split('\n') ?? [];
}
