import { z } from 'zod';
import { consentObjective } from './connection.js';
import { exportProfilesGoal } from './export-goal.js';

/** What config-api asks the exporter: it alone knows what was delivered before. */
export const exportPreviewOrder = z.object({
  workspaceId: z.int(),
  goalId: z.uuid(),
  goal: exportProfilesGoal,
  endpoint: z.string().optional().describe("Of the goal's connection, where it is not the cloud's own"),
  consentObjectives: z.array(consentObjective).default([]).describe("Of the goal's connection"),
});
export type ExportPreviewOrder = z.infer<typeof exportPreviewOrder>;

/** What an export would write if it ran now. */
export const exportPreview = z.object({
  mode: z.enum(['delta', 'full']),
  reason: z.string().optional().describe('Why a goal that writes changes would run in full'),
  members: z.int().describe('Profiles in the segment'),
  eligible: z.int().describe('Of the members, those a full export would hold'),
  touched: z.int().optional().describe('Delta: profiles with a change the goal reads, in the segment or not'),
  due: z.int().describe('Rows it would write'),
  withheld: z.int().describe('Profiles that would be due, but lack what the goal asks for'),
  withheldBy: z
    .record(z.string(), z.int())
    .describe(
      'These by the first reason that applies: no-mapped-value, missing:<property>, not-in-target, no-deduplication-key, no-consent, duplicate',
    ),
  warnings: z.array(z.string()).describe('What works, but is likely not meant'),
  headers: z.array(z.string()),
  rows: z
    .array(z.array(z.string().nullable()))
    .describe('The values of the first rows; null: no value. Rows of a file have no order'),
  text: z.string().describe('Header and these rows as they would stand in the file, before compression and encryption'),
});
export type ExportPreview = z.infer<typeof exportPreview>;
