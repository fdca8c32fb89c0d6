import { InputError, type Goal, type Scope } from '@millrace/domain';
import { allows, type Caller } from './caller.js';

/**
 * What a caller must be allowed to let data leave, beside managing destinations: to activate them, and to see what leaves.
 * Files with identities show the identity graph; a stream carries all identities by definition, and says so.
 */
export function activationScopes(goal: Goal): readonly Scope[] {
  if (!goal.active || (goal.kind !== 'export-profiles' && goal.kind !== 'stream')) return [];
  const shows =
    goal.kind === 'export-profiles' &&
    (goal.columns.some(({ source }) => source.kind === 'identity') || goal.deduplicate?.by === 'namespace');
  return [
    'destination:activate',
    'config:read',
    'profile:read',
    'segment:read',
    ...(shows ? (['identity:read'] as const) : []),
  ];
}

/** @throws InputError `forbidden` naming every scope that is missing and what it is for. */
export function requireActivation(caller: Caller, goal: Goal): void {
  const missing = activationScopes(goal).filter((scope) => !allows(caller, scope));
  if (missing.length === 0) return;
  const scopes = missing.map((scope) => `"${scope}"`).join(', ');
  throw new InputError(
    'forbidden',
    `a goal that lets data leave needs the scope ${scopes}, which this API key lacks: save it with "active": false, and have it activated`,
    { at: 'active' },
  );
}
