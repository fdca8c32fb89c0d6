import { z } from 'zod';
import { propertyName } from './property.js';

const scalar = z.union([z.string().max(4096), z.number(), z.boolean()]);

/** `in` takes a list; `exists` and `missing` take no value. */
const comparison = {
  op: z.enum([
    'equals',
    'not-equals',
    'less',
    'less-or-equal',
    'greater',
    'greater-or-equal',
    'contains',
    'starts-with',
    'in',
    'exists',
    'missing',
  ]),
  value: z.union([scalar, z.array(scalar).max(1000)]).optional(),
};

const numericComparison = {
  op: z.enum(['equals', 'not-equals', 'less', 'less-or-equal', 'greater', 'greater-or-equal']),
  value: z.number(),
};

/** Counted back from now. */
const withinDays = z.number().positive().max(36_500);

const propertyRule = z.strictObject({ kind: z.literal('property'), property: propertyName, ...comparison });
const recencyRule = z.strictObject({
  kind: z.literal('recency'),
  property: propertyName,
  op: z.enum(['within-last', 'longer-ago-than']),
  days: withinDays,
});
const identityRule = z.strictObject({ kind: z.literal('identity'), namespace: z.string().min(1), ...comparison });
const eventFilter = z.strictObject({ property: propertyName, ...comparison });
/** `last` compares the days since the latest event: `less 30` is "in the last 30 days". Without an event it is never true. */
const eventRule = z.strictObject({
  kind: z.literal('event'),
  type: z.string().min(1),
  aggregate: z.enum(['count', 'sum', 'last']),
  property: propertyName.optional().describe('What `sum` adds up'),
  withinDays: withinDays.optional(),
  where: z.array(eventFilter).max(20).default([]),
  ...numericComparison,
});
const groupRule = z.strictObject({
  kind: z.literal('group'),
  type: z.string().min(1),
  property: propertyName.optional(),
  ...comparison,
});
const consentRule = z.strictObject({
  kind: z.literal('consent'),
  objective: z.string().min(1),
  op: z.enum(['granted', 'withheld', 'unknown']),
});

const leaf = z.discriminatedUnion('kind', [propertyRule, recencyRule, identityRule, eventRule, groupRule, consentRule]);
export type SegmentLeaf = z.infer<typeof leaf>;

export type SegmentRule =
  | SegmentLeaf
  | { readonly kind: 'all'; readonly rules: readonly SegmentRule[] }
  | { readonly kind: 'any'; readonly rules: readonly SegmentRule[] }
  | { readonly kind: 'not'; readonly rule: SegmentRule };

/** A tree of conditions. `all` of nothing is everyone, `any` of nothing is nobody. */
export const segmentRule: z.ZodType<SegmentRule> = z
  .lazy(() =>
    z.union([
      leaf,
      z.strictObject({ kind: z.literal('all'), rules: z.array(segmentRule).max(100) }),
      z.strictObject({ kind: z.literal('any'), rules: z.array(segmentRule).max(100) }),
      z.strictObject({ kind: z.literal('not'), rule: segmentRule }),
    ]),
  )
  .meta({ id: 'SegmentRule' });

export const segmentDefinition = z.object({
  name: z.string().min(1).max(200),
  rule: segmentRule,
});
export type SegmentDefinition = z.infer<typeof segmentDefinition>;

export const membershipStatus = z.enum(['realized', 'exited']);
export type MembershipStatus = z.infer<typeof membershipStatus>;
