import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '@millrace/database';
import { InputError } from '@millrace/domain';
import { queueAlert, rulesOf } from '../raise-alerts/queue-alerts.js';
import { readDeliveries } from './alert-deliveries.js';
import type { AlertTestResult } from './alert-views.js';

const patienceMs = 15_000;
const lookEveryMs = 50;

/**
 * Sends a message to each receiver of a rule by the way alerts take, and waits until each has answered or the patience is over.
 * @throws InputError `alert-conflict` for a rule that is switched off
 */
export async function tryAlert(
  database: Database,
  rule: { readonly id: string; readonly connectionId: string },
  sendNow: () => void,
): Promise<AlertTestResult> {
  const listening = (await rulesOf(database, [rule.connectionId]))
    .get(rule.connectionId)
    ?.find(({ id }) => id === rule.id);
  if (listening === undefined)
    throw new InputError('alert-conflict', 'the alert is switched off: set active to true, then try it out');
  const text = `connection "${listening.connection.name}": this is a test, nothing has happened`;
  const ids = await queueAlert(database, listening, `test:${randomUUID()}`, { event: 'test', recovered: false, text });
  sendNow();
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const deliveries = await readDeliveries(database, ids);
    if (deliveries.every(({ state }) => state !== 'pending') || performance.now() > deadline)
      return { ok: deliveries.every(({ state }) => state === 'sent'), deliveries };
    await delay(lookEveryMs);
  }
}
