import { type Database, sql, type Transaction } from '@millrace/database';
import type { Explanation, ExplanationOrder, ExplainedCondition } from '@millrace/domain';
import type { Fate } from '@millrace/mapping';
import { loadCatalogue } from '@millrace/profile-store';
import { type DecidedAudience, decideExport } from '../plan-export/plan-export.js';

const statementTimeoutMs = 20_000;

interface Found {
  readonly found: boolean;
  readonly erased_at: Date | null;
  readonly status: 'realized' | 'exited' | null;
  readonly qualified_at: Date | null;
  readonly met: readonly boolean[];
  readonly changes: readonly string[];
  readonly holder: string | null;
  readonly fate: Fate | null;
}

/** Why one profile would be in the export if it ran now, or not, by the conditions an export is planned with. Changes nothing. */
export async function explainExport(database: Database, order: ExplanationOrder): Promise<Explanation> {
  return await database.transaction(async (tx) => {
    const { workspaceId, goalId, goal, endpoint, consentObjectives, profileId } = order;
    const catalogue = await loadCatalogue(tx, workspaceId);
    await tx.query(sql`
      SELECT set_config('statement_timeout', ${String(statementTimeoutMs)}, true), set_config('transaction_read_only', 'on', true)`);
    const { decision, audiences } = await decideExport(tx, goalId, goal, { endpoint, consentObjectives }, catalogue);
    const explained: Explanation['audiences'] = [];
    for (const audience of audiences)
      explained.push(await explainAudience(tx, audience, profileId, decision.mode === 'delta'));
    return {
      profileId,
      included: explained.some(({ included }) => included),
      mode: decision.mode,
      ...(decision.mode === 'full' && decision.reason !== undefined ? { reason: decision.reason } : {}),
      audiences: explained,
    };
  });
}

async function explainAudience(
  tx: Transaction,
  { goal, selection }: DecidedAudience,
  profileId: string,
  isDelta: boolean,
): Promise<Explanation['audiences'][number]> {
  const { rows } = await tx.query<Found>(selection.explain(profileId));
  const [found] = rows;
  if (found === undefined) throw new Error('an explanation has one row');
  const conditions: ExplainedCondition[] = [
    { condition: 'exists', met: found.found, answer: existence(found) },
    { condition: 'in-segment', met: found.status === 'realized', answer: membership(found) },
    ...selection.demands.map((reason, index) => {
      const met = found.found && found.met[index] === true;
      return { condition: reason, met, answer: found.found ? demand(reason, met) : 'there is no profile to ask' };
    }),
  ];
  if (selection.mustBeNumbered && found.holder !== null) {
    const met = found.holder === profileId;
    const answer = met
      ? 'the most recently qualified profile with its key'
      : `the profile ${found.holder} has the same key and qualified more recently`;
    conditions.push({ condition: 'duplicate', met, answer });
  }
  if (isDelta) conditions.push({ condition: 'changed', ...change(found) });
  if (found.fate !== null && found.fate !== 'row') {
    const answer = 'it was delivered before and has no row any more: the receiver is told that it left';
    conditions.push({ condition: 'told-to-leave', met: true, answer });
  }
  return { segmentIds: [goal.segmentId, ...goal.furtherSegmentIds], included: found.fate !== null, conditions };
}

function existence({ found, erased_at: erasedAt }: Found): string {
  if (found) return 'the workspace has this profile';
  return erasedAt === null
    ? 'the workspace has no such profile'
    : `the profile was erased at ${erasedAt.toISOString()}: only a tombstone is left`;
}

function membership({ status, qualified_at: at }: Found): string {
  if (status === null || at === null) return 'it was never in the segment';
  return status === 'realized'
    ? `in the segment since ${at.toISOString()}`
    : `it left the segment at ${at.toISOString()}`;
}

function demand(reason: string, met: boolean): string {
  switch (reason) {
    case 'no-mapped-value':
      return met ? 'it has a value for a mapped property' : 'it has no value for any mapped property';
    case 'not-in-target':
      return met ? 'it has an identity the receiver knows' : 'it has no identity in the namespace of the receiver';
    case 'no-deduplication-key':
      return met ? 'it has the key rows are told apart by' : 'it has no value for the key rows are told apart by';
    case 'no-consent':
      return met
        ? 'it consents to an objective of the goal and of its connection'
        : 'it has not consented to any objective of the goal, or of its connection';
    default: {
      const property = JSON.stringify(reason.slice('missing:'.length));
      return met ? `it has a value for ${property}` : `it has no value for the mandatory property ${property}`;
    }
  }
}

function change({ changes, fate }: Found): Omit<ExplainedCondition, 'condition'> {
  if (changes.length > 0)
    return { met: true, answer: `changed since the last delivered export: ${[...new Set(changes)].join(', ')}` };
  return fate !== null
    ? { met: true, answer: 'it takes the place of another profile with its key' }
    : { met: false, answer: 'nothing that the goal reads has changed since the last delivered export' };
}
