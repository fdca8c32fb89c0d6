import { z } from 'zod';

/** What stream-publisher says of its goals to config-api, and config-api to its callers. */

const time = z.iso.datetime();

export const streamBackfill = z.object({
  segmentId: z.uuid(),
  state: z.enum(['running', 'done', 'cancelled']),
  members: z.int().describe('Members of the segment looked at so far'),
  queued: z.int().describe('Of those, how many were queued to be sent; the others had a change waiting anyway'),
  remaining: z.int().describe('Members still to be looked at'),
  startedAt: time,
  finishedAt: time.optional(),
});
export type StreamBackfill = z.infer<typeof streamBackfill>;

export const streamState = z
  .object({
    goalId: z.uuid(),
    state: z
      .enum(['active', 'paused', 'inactive'])
      .describe('`paused`: changes are collected, nothing is sent; `inactive`: nothing is collected either'),
    since: time.describe('When the goal was activated, paused or switched off'),
    fault: z
      .object({ code: z.string(), message: z.string(), at: time.optional() })
      .optional()
      .describe('Why nothing can be sent at present'),
    lagSeconds: z.number().describe('Age of the oldest change that is not on the stream; 0: all are'),
    lateSince: time
      .optional()
      .describe('Since when the lag has been above the goal’s `maxLagSeconds`; the alert of it was raised then'),
    waiting: z.object({
      changes: z.int(),
      backfill: z.int().describe('Profiles queued by backfills'),
      deadLetters: z.int(),
    }),
    backfills: z.array(streamBackfill),
    totals: z
      .object({
        records: z.int(),
        bytes: z.int().describe('Data and partition keys'),
        retries: z.int().describe('Records refused and sent again'),
        throttled: z.int().describe('Records the stream had no room for'),
        deadLetters: z.int().describe('Records given up'),
        withheld: z.int().describe('Times a change was not sent for want of consent'),
        withdrawn: z.int().describe('Records that took a profile back after consent was withdrawn'),
        erased: z.int().describe('Records that told of an erasure'),
      })
      .describe('Since the goal was first activated; some seconds behind'),
    lastSentAt: time.optional(),
  })
  .meta({ id: 'StreamState' });
export type StreamState = z.infer<typeof streamState>;

export const deadLetter = z
  .object({
    profileId: z.uuid(),
    reason: z.string().describe('The stream’s word for what went wrong, or `record-too-large`'),
    message: z.string(),
    attempts: z.int(),
    failedAt: time,
    changedAt: time.describe('The latest change the record stood for'),
    causes: z.array(z.string()).describe('Why the profile was to be sent: `segment`, `identity`, `attribute`, ...'),
  })
  .meta({ id: 'DeadLetter' });
export type DeadLetter = z.infer<typeof deadLetter>;

export const deadLetterPage = z.object({ items: z.array(deadLetter), next: z.string().nullable() });
export type DeadLetterPage = z.infer<typeof deadLetterPage>;

/** Which dead letters: everything given must fit. Times: when the record was given up; `to` is the first moment after. */
export const deadLetterFilter = z.strictObject({
  profileIds: z.array(z.uuid()).min(1).max(1000).optional(),
  reason: z.string().min(1).max(200).optional(),
  from: time.optional(),
  to: time.optional(),
});
export type DeadLetterFilter = z.infer<typeof deadLetterFilter>;

export const streamReplay = z
  .object({
    id: z.uuid(),
    state: z
      .enum(['asked', 'running', 'done'])
      .describe(
        '`asked`: no publisher has taken it up yet, and nothing is counted; `running`: some wait to be sent; `done`: each was sent or given up',
      ),
    filter: deadLetterFilter,
    takenAt: time.optional(),
    deadLetters: z.int().optional().describe('How many were taken up'),
    waiting: z.int().optional().describe('Of those, still to be sent; those of a paused goal wait until it is resumed'),
    sent: z.int().optional(),
    failed: z.int().optional().describe('Given up again: dead letters once more'),
  })
  .meta({ id: 'StreamReplay' });
export type StreamReplay = z.infer<typeof streamReplay>;

export const streamReplays = z.object({ items: z.array(streamReplay) });
export type StreamReplays = z.infer<typeof streamReplays>;

export const streamDecision = z.enum(['send', 'withdraw', 'erase', 'not-eligible', 'withheld', 'gone']);
export type StreamDecision = z.infer<typeof streamDecision>;

/** What a goal makes of one profile now. */
export const streamExplanation = z
  .object({
    profileId: z.uuid(),
    state: z.enum(['active', 'paused', 'inactive']).describe('Of the goal'),
    decision: streamDecision.describe(
      '`send`: a change is sent; `withdraw`: consent is gone, one record says so; `erase`: the profile was erased, one record says so; ' +
        '`not-eligible`: it is in no mapped segment; `withheld`: it does not consent; `gone`: there is no such profile',
    ),
    because: z.array(z.string()).describe('In words'),
    memberships: z.array(
      z.object({ segmentId: z.uuid(), status: z.enum(['realized', 'exited']), mapped: z.boolean(), since: time }),
    ),
    consent: z
      .object({
        needed: z.array(z.string()).describe('One of these must be granted'),
        granted: z.array(z.string()),
        told: z.boolean().describe('The stream knows the profile: withdrawal is told'),
      })
      .optional()
      .describe('Absent: the connection is linked to no objective'),
    delivery: z
      .object({
        state: z.enum(['pending', 'failed']),
        causes: z.array(z.string()),
        attempts: z.int(),
        changedAt: time,
        notBefore: time,
        error: z.object({ code: z.string(), message: z.string() }).optional(),
      })
      .optional()
      .describe('What is still owed to the stream; absent: nothing'),
    record: z.string().optional().describe('What would be sent now, byte for byte'),
    bytes: z.int().optional().describe('Of the record and its partition key'),
    partitionKey: z.string().optional(),
  })
  .meta({ id: 'StreamExplanation' });
export type StreamExplanation = z.infer<typeof streamExplanation>;
