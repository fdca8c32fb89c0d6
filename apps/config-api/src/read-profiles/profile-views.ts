import { domainGroupId, membershipStatus } from '@millrace/domain';
import { parse, stringify } from 'lossless-json';
import { z } from 'zod';
import { nestProperties } from './nest-properties.js';

const values = z.record(z.string(), z.unknown());

/** Numbers keep every digit: read them with a decimal parser where that matters. */
export const profileView = z
  .object({
    id: z.uuid(),
    version: z.int().describe('Raised by every change'),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
    domainGroup: z.object({ id: z.uuid(), name: z.string() }).describe('Inside which it is matched'),
    properties: values.describe('Nested by path'),
    identities: z.array(z.object({ namespace: z.string(), value: z.string() })),
    consent: z.record(z.string(), z.boolean()).describe('By objective'),
    groups: z.array(z.object({ type: z.string(), key: z.string(), properties: values })),
    segments: z.array(
      z.object({ id: z.uuid(), name: z.string(), status: membershipStatus, lastQualificationTime: z.iso.datetime() }),
    ),
    events: z
      .array(
        z.object({
          type: z.string(),
          id: z.string(),
          occurredAt: z.iso.datetime(),
          properties: values,
          lists: z.record(z.string(), z.array(values)),
        }),
      )
      .describe('The latest ones, newest first'),
  })
  .meta({ id: 'Profile' });

export const profileQuery = z.object({
  namespace: z.string().min(1).max(64).describe('Code of an identity namespace'),
  value: z.string().min(1).max(1024).describe('The identity, normalised as on import'),
  domainGroupId: domainGroupId.optional().describe('Where it is looked up; absent: in the default domain group'),
});
export type ProfileQuery = z.infer<typeof profileQuery>;

export const statisticsView = z
  .object({
    profiles: z.int(),
    identities: z.int(),
    events: z.int(),
    eventLines: z.int().describe("Elements of the events' nested lists"),
    memberships: z.int().describe('Profiles in segments, each segment counted'),
    segments: z.int(),
    connections: z.int(),
    goals: z.int(),
    runs: z.int(),
  })
  .meta({ id: 'Statistics' });
export type StatisticsView = z.infer<typeof statisticsView>;

/** A profile as the store gives it (JSON text, properties flat) with its properties nested, numbers digit for digit the same. */
export function nestProfile(text: string): string {
  const profile = parse(text) as Record<string, unknown>;
  return stringify({ ...profile, properties: nestProperties(profile['properties'] as Record<string, unknown>) })!;
}
