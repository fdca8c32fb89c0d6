import { alertRule, alertMessage, alertWebhook } from '@millrace/domain';
import { z } from 'zod';
import type { AlertRuleRow } from '../storage/alert-entities.js';

export const newAlert = alertRule.meta({ id: 'NewAlert' });

const { name, active, notify, events, delayedAfterMinutes, rejectedPercent, skippedPercent, emails } = alertRule.shape;

/** What a PATCH may hold: what is absent stays, null removes. */
export const alertChange = z
  .strictObject({
    name: name.optional(),
    active: active.unwrap().optional(),
    notify: notify.unwrap().optional(),
    events: events.nullable(),
    delayedAfterMinutes: delayedAfterMinutes.unwrap().optional(),
    rejectedPercent: rejectedPercent.unwrap().optional(),
    skippedPercent: skippedPercent.unwrap().optional(),
    emails: emails.unwrap().optional(),
    webhooks: z
      .array(alertWebhook.extend({ secret: alertWebhook.shape.secret.optional() }))
      .max(10)
      .refine((hooks) => new Set(hooks.map(({ url }) => url)).size === hooks.length, 'each URL may stand here once')
      .optional()
      .describe('All there are to be; the secret may be left out only of a URL that was there before'),
  })
  .meta({ id: 'AlertChange' });
export type AlertChange = z.infer<typeof alertChange>;

/** An alert as anyone may see it: a marker stands where a secret was. */
export const alertView = z
  .object({
    id: z.uuid(),
    ...alertRule.shape,
    webhooks: z.array(alertWebhook.omit({ secret: true }).extend({ hasSecret: z.literal(true) })),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'Alert' });
export type AlertView = z.infer<typeof alertView>;

export function viewOfAlert({ id, document, createdAt, updatedAt }: AlertRuleRow): AlertView {
  return {
    id,
    ...document,
    webhooks: document.webhooks.map(({ url }) => ({ url, hasSecret: true })),
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
  };
}

const deliveryState = z
  .enum(['pending', 'sent', 'failed'])
  .describe('`pending`: to be sent, or sent again; `sent`: the receiver took it; `failed`: given up, with the error');

export const alertDeliveryView = z
  .object({
    id: z.uuid().describe('The same as in the message'),
    alertId: z.uuid(),
    connectionId: z.uuid(),
    channel: z.enum(['email', 'webhook']),
    recipient: z.string(),
    message: alertMessage,
    state: deliveryState,
    attempts: z.int(),
    error: z.object({ code: z.string(), message: z.string() }).nullable().describe('Of the last attempt'),
    nextAttemptAt: z.iso.datetime().nullable().describe('Of a pending one'),
    createdAt: z.iso.datetime(),
    finishedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'AlertDelivery' });
export type AlertDeliveryView = z.infer<typeof alertDeliveryView>;

export const alertDeliveryQuery = z.object({
  connectionId: z.uuid().optional().describe('Only of this connection'),
  alertId: z.uuid().optional().describe('Only of this alert'),
  state: deliveryState.optional().describe('Only in this state'),
  before: z.uuid().optional().describe('`next` of the page before: older ones follow'),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});
export type AlertDeliveryQuery = z.infer<typeof alertDeliveryQuery>;

export const alertDeliveryPage = z.object({
  items: z.array(alertDeliveryView),
  next: z.uuid().nullable().describe('For `before`; null: the last page'),
});
export type AlertDeliveryPage = z.infer<typeof alertDeliveryPage>;

export const alertTestResult = z
  .object({
    ok: z.boolean(),
    deliveries: z
      .array(alertDeliveryView)
      .describe('One a receiver; still `pending`: it has not answered in time, see `listAlertDeliveries`'),
  })
  .meta({ id: 'AlertTestResult' });
export type AlertTestResult = z.infer<typeof alertTestResult>;
