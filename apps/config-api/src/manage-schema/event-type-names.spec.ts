import { eventType } from '@millrace/domain';
import { withoutNameClashes } from './event-type-names.js';

const schema = eventType.superRefine(withoutNameClashes);
const problems = (type: object): string[] =>
  schema
    .safeParse({ code: 'visit', ...type })
    .error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [];

describe('event types', () => {
  it('may use a name on several levels', () => {
    expect(
      problems({ properties: [{ name: 'id' }], lists: [{ name: 'items', properties: [{ name: 'id' }] }] }),
    ).toEqual([]);
  });

  it('may not use a name twice on one level', () => {
    expect(problems({ properties: [{ name: 'a' }, { name: 'a' }] })).toEqual(['properties.1.name: stands here twice']);
    expect(problems({ lists: [{ name: 'l', properties: [{ name: 'b' }, { name: 'b' }] }] })).toEqual([
      'lists.0.properties.1.name: stands here twice',
    ]);
  });

  it('may not nest one name in another', () => {
    expect(problems({ properties: [{ name: 'a.b' }, { name: 'a' }] })).toEqual([
      'properties.0.name: cannot stand beside "a": one would be nested in the other',
    ]);
  });
});
