import { z } from 'zod';

/** What an alert can be about. */
export const alertEvent = z
  .enum(['started', 'succeeded', 'cancelled', 'failed', 'delayed', 'rejected', 'skipped', 'dead-letters'])
  .describe(
    '`started`, `succeeded`, `cancelled`: a run. `failed`: a run, or a stream that cannot send at all. `delayed`: a run that is not over ' +
      '`delayedAfterMinutes` after it was asked for, or a stream whose oldest unsent change is older than its `maxLagSeconds`. ' +
      '`rejected`: more than `rejectedPercent` of the rows an import read were rejected or ambiguous. `skipped`: more than `skippedPercent` of ' +
      'the rows read were skipped, or of the profiles due withheld or filtered. `dead-letters`: a stream has given up records',
  );
export type AlertEvent = z.infer<typeof alertEvent>;

/** What is heard under each choice of `notify`. */
export const alertEventsOf = {
  'every-run': alertEvent.options,
  'only-on-failure': ['failed', 'delayed', 'rejected', 'skipped', 'dead-letters'],
} as const satisfies Record<string, readonly AlertEvent[]>;

/** Stored sealed and never shown again. */
const webhookSecret = z
  .string()
  .min(16)
  .max(512)
  .meta({ writeOnly: true })
  .describe('Signs what is sent. `whsec_` and base64: the bytes are the key; anything else is the key as it stands');

export const alertWebhook = z.strictObject({
  url: z
    .url({ protocol: /^https?$/ })
    .max(2000)
    .describe('https, of a public address, unless the operator allows others'),
  secret: webhookSecret,
});
export type AlertWebhook = z.infer<typeof alertWebhook>;

const percent = z.number().min(0).max(100).default(1);

/** Who is told of what on a connection. */
export const alertRule = z.strictObject({
  name: z.string().min(1).max(200),
  active: z.boolean().default(true),
  notify: z
    .enum(['every-run', 'only-on-failure'])
    .default('only-on-failure')
    .describe('`every-run`: everything; `only-on-failure`: what needs somebody. Recovery is announced in both'),
  events: z
    .array(alertEvent)
    .min(1)
    .refine((events) => new Set(events).size === events.length, 'each event may stand here once')
    .optional()
    .describe('Exactly these, in place of what `notify` stands for'),
  delayedAfterMinutes: z
    .int()
    .min(1)
    .max(60 * 24 * 30)
    .default(150)
    .describe('Runs. When a stream is late is said by its `maxLagSeconds`'),
  rejectedPercent: percent.describe('Told when the share is above'),
  skippedPercent: percent.describe('Told when the share is above'),
  emails: z
    .array(z.email().max(254))
    .max(50)
    .refine(
      (emails) => new Set(emails.map((email) => email.toLowerCase())).size === emails.length,
      'each address may stand here once',
    )
    .default([])
    .describe('Each gets a message of its own'),
  webhooks: z
    .array(alertWebhook)
    .max(10)
    .refine((hooks) => new Set(hooks.map(({ url }) => url)).size === hooks.length, 'each URL may stand here once')
    .default([]),
});
export type AlertRule = z.infer<typeof alertRule>;

export function hears(rule: Pick<AlertRule, 'notify' | 'events'>, event: AlertEvent): boolean {
  return (rule.events ?? alertEventsOf[rule.notify]).some((heard) => heard === event);
}

const named = z.object({ id: z.uuid(), name: z.string() });

/** What a receiver gets: the body of a webhook, and what an e-mail is written from. Names, ids, counts and codes; no personal data. */
export const alertMessage = z
  .object({
    id: z.uuid().describe('The same however often it is sent: a receiver that knows it leaves it aside'),
    event: z.enum([...alertEvent.options, 'test']),
    recovered: z.boolean().describe('What was told of before is over'),
    at: z.iso.datetime(),
    text: z.string().describe('In one sentence'),
    workspace: z.string(),
    connection: named,
    alert: named.describe('The rule by which this is sent'),
    goal: named.optional(),
    run: z.object({ id: z.uuid() }).optional(),
    error: z.object({ code: z.string(), message: z.string() }).optional(),
    figures: z.record(z.string(), z.number()).optional(),
  })
  .meta({ id: 'AlertMessage' });
export type AlertMessage = z.infer<typeof alertMessage>;
