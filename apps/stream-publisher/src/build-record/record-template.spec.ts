import { readFileSync } from 'node:fs';
import {
  compileRecordTemplate,
  takenBack,
  type ProfileState,
  type RecordCatalogue,
  type RecordOccasion,
  type SegmentFacts,
} from './record-template.js';

interface Fixture {
  readonly state: ProfileState;
  readonly properties: readonly string[];
  readonly namespaces: Readonly<Record<string, string>>;
  readonly segments: Readonly<Record<string, SegmentFacts>>;
  readonly occasion: RecordOccasion;
}

function read(name: string): string {
  return readFileSync(new URL(`./fixtures/${name}`, import.meta.url), 'utf8');
}

const fixture = JSON.parse(read('profile.json')) as Fixture;
const attributeIndex = new Map(fixture.properties.map((name, index) => [name, index]));
const catalogue: RecordCatalogue = {
  segment: (segmentId) => fixture.segments[segmentId],
  namespace: (namespaceId) => fixture.namespaces[namespaceId],
};
const plain = {
  properties: [...fixture.properties],
  includeSegmentNames: false,
  includeSegmentTimestamps: false,
  envelope: false,
};

function render(options: Partial<typeof plain> = {}, state: Partial<ProfileState> = {}): string {
  return compileRecordTemplate({ ...plain, ...options }, attributeIndex, catalogue).render(
    { ...fixture.state, ...state },
    fixture.occasion,
  );
}

describe('compileRecordTemplate', () => {
  it.each([
    ['plain', {}],
    ['names', { includeSegmentNames: true }],
    ['timestamps', { includeSegmentTimestamps: true }],
    ['names-and-timestamps', { includeSegmentNames: true, includeSegmentTimestamps: true }],
    ['envelope', { envelope: true }],
  ])('renders the golden record: %s', (name, options) => {
    expect(`${render(options)}\n`).toBe(read(`${name}.record.txt`));
  });

  it('renders the golden record of an erased profile: no attributes, in no segment, known by its identities', () => {
    const template = compileRecordTemplate({ ...plain, envelope: true }, attributeIndex, catalogue);
    const occasion = { ...fixture.occasion, reasons: ['erasure'], erased: true };
    expect(`${template.render(takenBack(fixture.state, fixture.occasion.occurredAtMs), occasion)}\n`).toBe(
      read('erased.record.txt'),
    );
  });

  it('holds nothing but attributes, memberships and identities unless the envelope is on', () => {
    expect(Object.keys(JSON.parse(render()) as object).sort()).toEqual([
      'colours',
      'identityMap',
      'loyalty',
      'person',
      'segmentMembership',
    ]);
  });

  it('leaves out objects all of whose values are absent', () => {
    const attributes = fixture.state.attributes.map((json, index) => (index <= 2 ? '' : json));
    expect(JSON.parse(render({}, { attributes }))).toMatchObject({ person: { optIn: true, birthDate: '1990-02-28' } });
    expect(render({}, { attributes })).not.toContain('"name":{');
  });

  it('keeps every digit of a number', () => {
    expect(render()).toContain('"points":12345678901234567890.10');
  });

  it('leaves out a segment that the workspace no longer has', () => {
    expect(render()).not.toContain('019a0000-0000-7000-8000-000000000003');
  });

  it('is whole without attributes and identities', () => {
    const text = render({ properties: [] }, { attributes: [], identities: [] });
    expect(JSON.parse(text)).toMatchObject({ segmentMembership: { ups: {} }, identityMap: {} });
  });

  it('renders names that need escaping', () => {
    const properties = ['a"b.c\\d'];
    const template = compileRecordTemplate({ ...plain, properties }, new Map([[properties[0] ?? '', 0]]), catalogue);
    expect(JSON.parse(template.render({ ...fixture.state, attributes: ['1'] }, fixture.occasion))).toMatchObject({
      'a"b': { 'c\\d': 1 },
    });
  });
});
