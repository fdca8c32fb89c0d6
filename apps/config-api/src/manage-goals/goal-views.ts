import { exportProfilesGoal, goal, importGroupsGoal, importProfilesGoal, streamGoal } from '@millrace/domain';
import { z } from 'zod';
import { connectionCheck } from '../manage-connections/connection-views.js';
import type { GoalRow } from '../storage/entities.js';

export const newGoal = goal.meta({ id: 'NewGoal' });

const goalWarning = z.object({ field: z.string(), message: z.string() });
export type GoalWarning = z.infer<typeof goalWarning>;

const stored = {
  id: z.uuid(),
  connectionId: z.uuid(),
  position: z
    .int()
    .describe(
      'Place in the order of the connection; groups are always imported first, then profiles; exports run last',
    ),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
  warnings: z
    .array(goalWarning)
    .optional()
    .describe(
      'What works, but may not be meant, such as a mapping into a property that exists already; told when the goal is saved',
    ),
};

export const goalView = z
  .discriminatedUnion('kind', [
    importGroupsGoal.extend(stored),
    importProfilesGoal.extend(stored),
    exportProfilesGoal.extend(stored),
    streamGoal.extend({
      ...stored,
      check: connectionCheck
        .optional()
        .describe('Whether the stream could be found and written to when the goal was saved; told once'),
    }),
  ])
  .meta({ id: 'Goal' });
export type GoalView = z.infer<typeof goalView>;

/** Whole fields to replace; the result is validated as a whole. */
export const goalChange = z.record(z.string(), z.unknown()).meta({
  id: 'GoalChange',
  description: 'Fields of the goal, each replaced as a whole; the others stay, and so does the kind',
});
export type GoalChange = z.infer<typeof goalChange>;

export const goalOrder = z
  .strictObject({
    goalIds: z.array(z.uuid()).max(1000).describe('All goals of the connection, each once, in the wanted order'),
  })
  .meta({ id: 'GoalOrder' });

export function viewOfGoal(row: GoalRow): GoalView {
  return {
    ...row.document,
    id: row.id,
    connectionId: row.connectionId,
    position: row.position,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}
