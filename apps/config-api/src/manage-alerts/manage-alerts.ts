import { InputError, type AlertRule } from '@millrace/domain';
import type { SealingKeys } from '../manage-connections/connection-secrets.js';
import { checkWebhookUrl, type WebhookPolicy } from '../send-alerts/post-webhook.js';
import type { AlertRuleRow } from '../storage/alert-entities.js';
import type { ConfigStorage, ConfigTables } from '../storage/config-storage.js';
import { openAlert, sealAlert } from './alert-secrets.js';
import type { AlertChange } from './alert-views.js';
import { noConnection } from '../manage-connections/no-connection.js';

export interface AlertPolicy {
  readonly webhooks: WebhookPolicy;
  /** Whether a mail server is set up. */
  readonly canMail: boolean;
}

/** The rules by which people are told what happens on a connection. */
export class ManageAlerts {
  readonly #storage: ConfigStorage;
  readonly #keys: SealingKeys;
  readonly #policy: AlertPolicy;

  constructor(storage: ConfigStorage, keys: SealingKeys, policy: AlertPolicy) {
    this.#storage = storage;
    this.#keys = keys;
    this.#policy = policy;
  }

  /** @throws InputError `connection-not-found`. */
  async list(workspaceId: number, connectionId: string): Promise<readonly AlertRuleRow[]> {
    return this.#storage.read(async (tables) => {
      await requireConnection(tables, workspaceId, connectionId);
      return tables.alertRules.list(connectionId);
    });
  }

  /** @throws InputError `connection-not-found`, `alert-not-found`. */
  async get(workspaceId: number, connectionId: string, id: string): Promise<AlertRuleRow> {
    return this.#storage.read(async (tables) => {
      await requireConnection(tables, workspaceId, connectionId);
      return found(await tables.alertRules.find(connectionId, id));
    });
  }

  /**
   * @throws InputError `connection-not-found`; `alert-conflict` for a taken name; `alert-receivers` where there are none; `smtp-missing` for
   *   addresses without a mail server; `webhook-refused` for a URL that may not be sent to.
   */
  async create(workspaceId: number, connectionId: string, rule: AlertRule): Promise<AlertRuleRow> {
    this.#check(rule);
    return this.#storage.transaction(async (tables) => {
      // Locked, so that the connection is not deleted in between.
      if ((await tables.connections.lock(workspaceId, connectionId)) === null) throw noConnection();
      const ruleId = await tables.alertRules.nextId();
      const sealed = sealAlert(rule, this.#keys['config-api'], { workspaceId, connectionId, ruleId });
      return tables.alertRules.insert({ workspaceId, connectionId, id: ruleId }, sealed);
    });
  }

  /** @throws InputError as `create`; `alert-not-found`; `secret-missing` for a new URL without its secret. */
  async change(workspaceId: number, connectionId: string, id: string, change: AlertChange): Promise<AlertRuleRow> {
    return this.#storage.transaction(async (tables) => {
      await requireConnection(tables, workspaceId, connectionId);
      const { document } = found(await tables.alertRules.lock(connectionId, id));
      const owner = { workspaceId, connectionId, ruleId: id };
      const changed = changeAlert(openAlert(document, this.#keys['config-api'], owner), change);
      this.#check(changed);
      return tables.alertRules.update(id, sealAlert(changed, this.#keys['config-api'], owner));
    });
  }

  /** What is still to be sent by it is not sent any more. @throws InputError `connection-not-found`, `alert-not-found`. */
  async delete(workspaceId: number, connectionId: string, id: string): Promise<void> {
    await this.#storage.transaction(async (tables) => {
      await requireConnection(tables, workspaceId, connectionId);
      found(await tables.alertRules.lock(connectionId, id));
      await tables.alertRules.delete(id);
    });
  }

  #check({ emails, webhooks }: AlertRule): void {
    if (emails.length + webhooks.length === 0)
      throw new InputError('alert-receivers', 'an alert needs at least one address in "emails" or one of "webhooks"', {
        at: 'emails',
      });
    if (emails.length > 0 && !this.#policy.canMail)
      throw new InputError(
        'smtp-missing',
        'this installation has no mail server: its operator must set MILLRACE_SMTP_URL and MILLRACE_SMTP_FROM; webhooks work without',
        { at: 'emails' },
      );
    for (const [index, { url }] of webhooks.entries())
      checkWebhookUrl(url, this.#policy.webhooks, `webhooks.${index}.url`);
  }
}

function changeAlert(current: AlertRule, change: AlertChange): AlertRule {
  const { events, webhooks, ...plain } = change;
  const given = Object.fromEntries(Object.entries(plain).filter(([, value]) => value !== undefined));
  const changed: AlertRule = { ...current, ...given };
  if (events === null) delete changed.events;
  else if (events !== undefined) changed.events = events;
  if (webhooks === undefined) return changed;
  const secrets = new Map(current.webhooks.map(({ url, secret }) => [url, secret]));
  return {
    ...changed,
    webhooks: webhooks.map(({ url, secret = secrets.get(url) }, index) => {
      if (secret !== undefined) return { url, secret };
      throw new InputError('secret-missing', 'a new webhook URL needs its secret', { at: `webhooks.${index}.secret` });
    }),
  };
}

async function requireConnection(tables: ConfigTables, workspaceId: number, connectionId: string): Promise<void> {
  if ((await tables.connections.find(workspaceId, connectionId)) === null) throw noConnection();
}

function found(row: AlertRuleRow | null): AlertRuleRow {
  if (row === null) throw new InputError('alert-not-found', 'there is no such alert on this connection');
  return row;
}
