import { open, seal } from '@millrace/crypto';
import type { AlertRule } from '@millrace/domain';

/** Where the secrets of a rule belong: they open nowhere else. */
export interface AlertSecretOwner {
  readonly workspaceId: number;
  readonly connectionId: string;
  readonly ruleId: string;
}

/** Seals the secrets of a rule's webhooks, each bound to its URL: none can be moved to another receiver. */
export function sealAlert(rule: AlertRule, key: Uint8Array, owner: AlertSecretOwner): AlertRule {
  return withSecrets(rule, (secret, url) => seal(secret, key, contextOf(owner, url)));
}

/** @throws InputError `seal-broken` when the key is not the one it was sealed with. */
export function openAlert(sealed: AlertRule, key: Uint8Array, owner: AlertSecretOwner): AlertRule {
  return withSecrets(sealed, (secret, url) => open(secret, key, contextOf(owner, url)));
}

function withSecrets(rule: AlertRule, change: (secret: string, url: string) => string): AlertRule {
  return { ...rule, webhooks: rule.webhooks.map(({ url, secret }) => ({ url, secret: change(secret, url) })) };
}

function contextOf({ workspaceId, connectionId, ruleId }: AlertSecretOwner, url: string): Parameters<typeof open>[2] {
  return { workspaceId, connectionId, field: `alerts.${ruleId}.webhooks.${url}` };
}
