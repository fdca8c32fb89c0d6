import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '@millrace/database';
import { InputError, summariseError, type AlertMessage } from '@millrace/domain';
import { repeat, type Log, type Repeating } from '@millrace/job-queue';
import { openAlert } from '../manage-alerts/alert-secrets.js';
import { claimAlerts, endAttempt, renewClaims, type AttemptEnd, type ClaimedAlert } from './alert-outbox.js';
import type { Mailer } from './mailer.js';
import { mailOf } from './mail-of.js';
import { postWebhook, type WebhookPolicy } from './post-webhook.js';
import { signWebhook } from './sign-webhook.js';

export interface SendAlertsOptions {
  readonly database: Database;
  /** Opens the secrets of rules. */
  readonly key: Uint8Array;
  /** Undefined: this installation has no mail server. */
  readonly mailer: Mailer | undefined;
  readonly webhooks: WebhookPolicy;
  readonly log: Log;
  /** Before the second attempt; doubles up to an hour. */
  readonly retryMs: number;
  readonly giveUpMs: number;
  /** Told of each attempt's end. */
  readonly onEnd?: (alert: ClaimedAlert, outcome: 'sent' | 'retried' | 'failed') => void;
}

// A mail server or a crowd of receivers that hang keep only senders of their own busy.
const senders = { webhook: 16, email: 8 } as const;
// What a stop waits for attempts under way; whoever runs next makes them again.
const stopPatienceMs = 3000;
const webhookPatienceMs = 10_000;
// Renewed every second or so while an attempt is under way: what a killed process had in hand is sent again so soon.
const claimSeconds = 10;
const longestPauseMs = 3_600_000;

/**
 * Sends what is queued until each receiver has taken it. The end of an attempt is written down after it: a process that is killed in
 * between, or an answer that is lost, leads to the same message with the same id again, never to none. Several instances share the work.
 */
export class SendAlerts {
  readonly #options: SendAlertsOptions;
  readonly #loop: Repeating;
  readonly #stopping = new AbortController();
  readonly #underWay = new Map<ClaimedAlert, Promise<void>>();

  constructor(options: SendAlertsOptions) {
    this.#options = options;
    this.#loop = repeat({ name: 'sending alerts', intervalMs: 1000, log: options.log }, () => this.#turn());
  }

  start(): void {
    void this.#loop.now();
  }

  /** Something was queued: do not wait for the next look. */
  readonly now = (): void => void this.#loop.now();

  /** Attempts under way are cut off and made again by whoever runs next. */
  async stop(): Promise<void> {
    await this.#loop.stop();
    this.#stopping.abort();
    await Promise.race([Promise.all(this.#underWay.values()), delay(stopPatienceMs, undefined, { ref: false })]);
  }

  async #turn(): Promise<void> {
    const { database } = this.#options;
    if (this.#underWay.size > 0) await renewClaims(database, [...this.#underWay.keys()], claimSeconds);
    const busy = [...this.#underWay.keys()];
    for (const channel of ['webhook', 'email'] as const) {
      const limit = senders[channel] - busy.filter((alert) => alert.channel === channel).length;
      if (limit > 0) this.#begin(await claimAlerts(database, { channel, limit, claimSeconds }));
    }
  }

  #begin(alerts: readonly ClaimedAlert[]): void {
    for (const alert of alerts) {
      const sending = this.#send(alert)
        .catch((error: unknown) =>
          this.#options.log.warn(
            { err: error, deliveryId: alert.id },
            'how an alert ended could not be written down: it is sent again',
          ),
        )
        .finally(() => {
          this.#underWay.delete(alert);
          this.now();
        });
      this.#underWay.set(alert, sending);
    }
  }

  async #send(alert: ClaimedAlert): Promise<void> {
    const { database, log, onEnd } = this.#options;
    try {
      await this.#deliver(alert);
    } catch (error) {
      const end = this.#afterFailure(alert, error);
      await endAttempt(database, alert, end);
      const given = { deliveryId: alert.id, alertId: alert.ruleId, channel: alert.channel, code: end.error?.code };
      if (end.retryInMs === undefined && alert.message.event !== 'test')
        log.error(given, 'an alert was given up: it is listed as failed, with the reason');
      else log.warn({ ...given, attempts: alert.attempts }, 'an alert was not taken by its receiver');
      onEnd?.(alert, end.retryInMs === undefined ? 'failed' : 'retried');
      return;
    }
    await endAttempt(database, alert, {});
    onEnd?.(alert, 'sent');
  }

  #afterFailure({ attempts, triedForMs, message }: ClaimedAlert, cause: unknown): AttemptEnd {
    const error = summariseError(cause);
    if (this.#stopping.signal.aborted) return { error, retryInMs: 0 };
    // Who tries an alert out wants to know now, and to get nothing later.
    const over = cause instanceof InputError || message.event === 'test' || triedForMs > this.#options.giveUpMs;
    if (over) return { error };
    const pause = Math.min(longestPauseMs, this.#options.retryMs * 2 ** Math.min(30, attempts - 1));
    return { error, retryInMs: pause * (0.75 + 0.5 * Math.random()) };
  }

  async #deliver(alert: ClaimedAlert): Promise<void> {
    const { rule, channel, recipient, message } = alert;
    if (rule === undefined) throw gone('the alert was deleted before this was sent');
    if (channel === 'email') {
      if (!rule.emails.includes(recipient)) throw gone('the address was taken off the alert before this was sent');
      const { mailer } = this.#options;
      if (mailer === undefined)
        throw new InputError('smtp-missing', 'this installation has no mail server any more: set MILLRACE_SMTP_URL');
      await mailer(mailOf(recipient, message));
      return;
    }
    const { workspaceId, connectionId, ruleId } = alert;
    const { webhooks } = openAlert(rule, this.#options.key, { workspaceId, connectionId, ruleId });
    const webhook = webhooks.find(({ url }) => url === recipient);
    if (webhook === undefined) throw gone('the URL was taken off the alert before this was sent');
    await this.#post(webhook.url, webhook.secret, message);
  }

  async #post(url: string, secret: string, message: AlertMessage): Promise<void> {
    const body = JSON.stringify(message);
    const timestamp = Math.floor(Date.now() / 1000);
    await postWebhook({
      url,
      body,
      headers: signWebhook(secret, { id: message.id, timestamp, body }),
      policy: this.#options.webhooks,
      signal: AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(webhookPatienceMs)]),
    });
  }
}

function gone(message: string): InputError {
  return new InputError('receiver-removed', message);
}
