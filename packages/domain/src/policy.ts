import { z } from 'zod';

/** Says what data is: contract C1.., identity I1.., sensitive S1.., or one's own. */
export const dataLabel = z.string().min(1).max(64);

/** What a receiver does with what it gets. */
export const marketingAction = z.string().min(1).max(64);

/** Data with the label may not leave by a connection for the action. */
export const policy = z.strictObject({
  name: z.string().min(1).max(200),
  label: dataLabel,
  action: marketingAction,
});
export type Policy = z.infer<typeof policy>;

/** What can carry labels. */
export const labelledKind = z.enum(['property', 'segment', 'event-type', 'group-type', 'import-goal']);
export type LabelledKind = z.infer<typeof labelledKind>;

export const labelled = z.strictObject({
  kind: labelledKind.describe('Labels of an import goal are those of the properties and event types it fills'),
  name: z.string().min(1).max(300).describe('Name of the property; id of the segment or goal; code of the type'),
  labels: z
    .array(dataLabel)
    .max(100)
    .refine((labels) => new Set(labels).size === labels.length, 'each label may stand here once'),
});
export type Labelled = z.infer<typeof labelled>;
