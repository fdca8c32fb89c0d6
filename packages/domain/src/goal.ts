import { z } from 'zod';
import { awsCredentials, consentObjective, pgpKeys } from './connection.js';
import { exportProfilesGoal } from './export-goal.js';
import { importGroupsGoal, importProfilesGoal } from './import-goal.js';
import { importGuardrails } from './import-guardrails.js';
import { streamGoal } from './stream-goal.js';

export const goal = z.discriminatedUnion('kind', [
  importGroupsGoal,
  importProfilesGoal,
  exportProfilesGoal,
  streamGoal,
]);
export type Goal = z.infer<typeof goal>;
export type GoalKind = Goal['kind'];

/** Where a worker finds the bucket or stream. Secrets are sealed for the service that runs the goal. */
export const goalEndpoint = z.object({
  region: z.string(),
  endpoint: z.string().optional(),
  credentials: awsCredentials,
  pgp: pgpKeys.optional(),
});
export type GoalEndpoint = z.infer<typeof goalEndpoint>;

/** Everything a worker may know of a goal: frozen when the run opens, so that an edit never changes a run under way. */
export const goalSnapshot = z.object({
  version: z.literal(1),
  workspaceId: z.int(),
  connectionId: z.uuid(),
  connectionName: z.string().optional().describe('For file names'),
  goalId: z.uuid(),
  goal,
  endpoint: goalEndpoint,
  consentObjectives: z
    .array(consentObjective)
    .default([])
    .describe('Of the connection: profiles that consent to none of these are withheld; empty withholds nobody'),
  guardrails: importGuardrails.optional().describe('Of the connection, for imports'),
});
export type GoalSnapshot = z.infer<typeof goalSnapshot>;
