import { goal, segmentRule } from '@millrace/domain';
import { z } from 'zod';
import { fieldErrors } from './field-errors.js';

function errorsOf(schema: z.ZodType, value: unknown): readonly { field: string; message: string }[] {
  return fieldErrors(schema.safeParse(value).error?.issues ?? []);
}

describe('fieldErrors', () => {
  it('names nested fields and list positions by their path', () => {
    const schema = z.object({
      source: z.object({ bucket: z.string() }),
      columns: z.array(z.object({ header: z.string() })),
    });
    expect(errorsOf(schema, { source: {}, columns: [{ header: 'a' }, {}] }).map((error) => error.field)).toEqual([
      'source.bucket',
      'columns.1.header',
    ]);
  });

  it('names each key that is not known', () => {
    expect(errorsOf(z.object({ inner: z.strictObject({}) }), { inner: { a: 1, b: 2 } })).toEqual([
      { field: 'inner.a', message: 'is not known here' },
      { field: 'inner.b', message: 'is not known here' },
    ]);
  });

  it('speaks for the branch of a union that was meant', () => {
    const rule = {
      kind: 'all',
      rules: [
        { kind: 'property', property: 'a', op: 'equals', value: 1 },
        { kind: 'property', property: 'a', op: 'resembles', value: 1 },
      ],
    };
    expect(errorsOf(segmentRule, rule)).toMatchObject([{ field: 'rules.1.op' }]);
  });

  it('names the kind when it is wrong itself', () => {
    expect(errorsOf(goal, { kind: 'teleport', name: 'x' })).toMatchObject([{ field: 'kind' }]);
    expect(errorsOf(segmentRule, { kind: 'teleport' })).toMatchObject([{ field: 'kind' }]);
  });

  it('stops at fifty', () => {
    expect(
      errorsOf(
        z.array(z.string()),
        Array.from({ length: 1000 }, () => 1),
      ),
    ).toHaveLength(50);
  });
});
