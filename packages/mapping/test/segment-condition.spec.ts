import { segmentRule } from '@millrace/domain';
import { compileSegment } from '../src/index.js';
import { catalogueWith } from './catalogue-fixture.js';

const catalogue = catalogueWith({
  city: 'string',
  age: 'integer',
  seen: 'timestamp',
  visits: 'date[]',
  tags: 'string[]',
});
const compile = (rule: unknown): ReturnType<typeof compileSegment> =>
  compileSegment(segmentRule.parse(rule), catalogue);

describe('compiling a segment rule', () => {
  it('never puts a value into the text of the statement', () => {
    const { condition } = compile({ kind: 'property', property: 'city', op: 'equals', value: "'; DROP TABLE x; --" });
    const { text, values } = condition.toQuery();
    expect(text).not.toContain('DROP');
    expect(values).toContain("'; DROP TABLE x; --");
  });

  it('knows which rules the passing of time can change', () => {
    expect(compile({ kind: 'property', property: 'city', op: 'exists' }).nextCheck).toBeUndefined();
    expect(compile({ kind: 'recency', property: 'seen', op: 'within-last', days: 3 }).nextCheck).toBeDefined();
    expect(
      compile({ kind: 'event', type: 'order', aggregate: 'count', withinDays: 30, op: 'greater', value: 1 }).nextCheck,
    ).toBeDefined();
    expect(
      compile({ kind: 'event', type: 'order', aggregate: 'count', op: 'greater', value: 1 }).nextCheck,
    ).toBeUndefined();
  });

  it('compiles "all of nothing" to everyone and "any of nothing" to nobody', () => {
    expect(compile({ kind: 'all', rules: [] }).condition.toQuery().text).toBe('true');
    expect(compile({ kind: 'any', rules: [] }).condition.toQuery().text).toBe('false');
  });

  it.each([
    [{ kind: 'property', property: 'nowhere', op: 'exists' }, 'the workspace has no property "nowhere"'],
    [{ kind: 'property', property: 'age', op: 'equals', value: 'old' }, '"old" is not a number'],
    [{ kind: 'property', property: 'age', op: 'equals', value: '1e99999' }, '"1e99999" is not a number'],
    [{ kind: 'property', property: 'age', op: 'contains', value: 1 }, 'the comparison "contains" does not fit here'],
    [{ kind: 'property', property: 'city', op: 'equals' }, 'the comparison "equals" needs one value'],
    [{ kind: 'property', property: 'city', op: 'in', value: 'Bonn' }, 'the comparison "in" needs a list of values'],
    [{ kind: 'recency', property: 'visits', op: 'within-last', days: 1 }, 'visits is a list, so it has no single age'],
    [
      { kind: 'recency', property: 'city', op: 'within-last', days: 1 },
      'city is neither a date nor a timestamp, so it has no age',
    ],
    [
      { kind: 'event', type: 'order', aggregate: 'sum', op: 'greater', value: 1 },
      'the sum of events needs the property to add up',
    ],
    [
      { kind: 'event', type: 'order', aggregate: 'sum', property: 'currency', op: 'greater', value: 1 },
      'currency is not numeric, so it has no sum',
    ],
    [
      { kind: 'event', type: 'refund', aggregate: 'count', op: 'greater', value: 1 },
      'the workspace has no event type "refund"',
    ],
    [{ kind: 'group', type: 'household', op: 'exists' }, 'the workspace has no group type "household"'],
  ])('refuses %j', (rule, message) => {
    expect(() => compile(rule)).toThrow(message);
  });
});
