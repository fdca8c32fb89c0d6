import { sql, type Database, type Executor, type Transaction } from '@millrace/database';
import type { AlertEvent, ErrorSummary } from '@millrace/domain';
import { waitingCommands } from '@millrace/job-queue';
import { closeIncident, openIncident, queueAlert, rulesOf, type ListeningRule, type Told } from './queue-alerts.js';

/** How a stream goal stands, whether or not a publisher runs. */
export interface WatchedStream {
  readonly goalId: string;
  readonly name: string;
  readonly connectionId: string;
  readonly state: 'active' | 'paused' | 'off';
  /** Age of the oldest change that is not on the stream; 0: all are, or the goal is paused or switched off. */
  readonly unsentSeconds: number;
  readonly maxLagSeconds: number;
  readonly late: boolean;
  readonly fault: ErrorSummary | undefined;
  /** 10,000 stands for more as well. */
  readonly deadLetters: number;
}

export interface StreamsSeen {
  readonly streams: readonly WatchedStream[];
  readonly began: readonly string[];
  readonly ended: readonly string[];
  /** How many alerts were queued. */
  readonly told: number;
}

// One instance judges at a time: the lock is held until its transaction ends.
const watchLock = 7_164_201;

/**
 * Judges every stream goal by what the database holds, so that it is heard of when the publishers are gone: changes that no publisher has
 * taken up, those taken up and not sent, and commands nobody carried out. What begins and what ends is told once, however many
 * instances look. Undefined: another instance is looking.
 */
export async function watchStreams(database: Database): Promise<StreamsSeen | undefined> {
  return database.transaction(async (tx) => {
    const { rows } = await tx.query<{ mine: boolean }>(sql`SELECT pg_try_advisory_xact_lock(${watchLock}) AS mine`);
    if (rows[0]?.mine !== true) return undefined;
    const streams = await readStreams(tx);
    const { began, ended } = await noteLate(tx, streams);
    const rules = await rulesOf(
      tx,
      streams.map(({ connectionId }) => connectionId),
    );
    let told = 0;
    for (const stream of streams)
      for (const rule of rules.get(stream.connectionId) ?? []) told += await tellRule(tx, rule, stream);
    return { streams, began, ended, told };
  });
}

interface StreamRow {
  readonly goal_id: string;
  readonly name: string;
  readonly connection_id: string;
  readonly workspace_id: number;
  readonly wanted: boolean;
  readonly max_lag_seconds: number;
  readonly now: Date;
}

interface PublisherRow {
  readonly goal_id: string;
  readonly state: 'active' | 'paused' | 'inactive';
  readonly fault: string | null;
  readonly oldest_unsent_at: Date | null;
  readonly dead_letters: number;
}

async function readStreams(tx: Transaction): Promise<readonly WatchedStream[]> {
  const { rows } = await tx.query<StreamRow>(sql`
    SELECT g.id AS goal_id, g.name, g.connection_id, g.workspace_id, g.active AND c.active AS wanted,
      COALESCE((g.document ->> 'maxLagSeconds')::int, 600) AS max_lag_seconds, clock_timestamp() AS now
    FROM config.goal g JOIN config.connection c ON c.id = g.connection_id WHERE g.kind = 'stream' ORDER BY g.id`);
  if (rows.length === 0) return [];
  const outbox = await oldestInOutbox(tx);
  const publisher = await readPublisher(tx);
  const commands = await waitingCommands(tx, ['activate-stream', 'resume-stream', 'replay-dead-letters']);
  return rows.map((row) => {
    const known = publisher.get(row.goal_id);
    const collects = known !== undefined && known.state !== 'inactive';
    const waitingSince = [
      commands.get(row.goal_id),
      ...(known?.state === 'paused'
        ? []
        : [known?.oldest_unsent_at, collects ? outbox.get(row.workspace_id) : undefined]),
    ].flatMap((at) => at?.getTime() ?? []);
    const unsentMs = row.wanted ? Math.max(0, ...waitingSince.map((at) => row.now.getTime() - at)) : 0;
    return {
      goalId: row.goal_id,
      name: row.name,
      connectionId: row.connection_id,
      state: !row.wanted ? 'off' : known?.state === 'paused' ? 'paused' : 'active',
      unsentSeconds: unsentMs / 1000,
      maxLagSeconds: row.max_lag_seconds,
      late: unsentMs > row.max_lag_seconds * 1000,
      fault: row.wanted ? faultOf(known) : undefined,
      deadLetters: row.wanted ? (known?.dead_letters ?? 0) : 0,
    };
  });
}

function faultOf(known: PublisherRow | undefined): ErrorSummary | undefined {
  const fault = known?.fault ?? null;
  return fault === null ? undefined : (JSON.parse(fault) as ErrorSummary);
}

/** By workspace. */
async function oldestInOutbox(tx: Executor): Promise<ReadonlyMap<number, Date>> {
  const { rows } = await tx.query<{ workspace_id: number; oldest: Date }>(
    sql`SELECT workspace_id, min(occurred_at) AS oldest FROM profile.outbox GROUP BY workspace_id`,
  );
  return new Map(rows.map((row) => [row.workspace_id, row.oldest]));
}

/** Nothing where no publisher was ever set up. */
async function readPublisher(tx: Executor): Promise<ReadonlyMap<string, PublisherRow>> {
  const { rows: found } = await tx.query<{ there: boolean }>(
    sql`SELECT to_regclass('publisher.stream_watch') IS NOT NULL AS there`,
  );
  if (found[0]?.there !== true) return new Map();
  const { rows } = await tx.query<PublisherRow>(
    sql`SELECT goal_id, state, fault, oldest_unsent_at, dead_letters FROM publisher.stream_watch`,
  );
  return new Map(rows.map((row) => [row.goal_id, row]));
}

async function noteLate(
  tx: Executor,
  streams: readonly WatchedStream[],
): Promise<{ readonly began: readonly string[]; readonly ended: readonly string[] }> {
  const late = streams.flatMap((stream) => (stream.late ? [stream.goalId] : []));
  const began = await tx.query<{ goal_id: string }>(sql`
    INSERT INTO config.late_stream (goal_id) SELECT g.id FROM config.goal g WHERE g.id = ANY(${late}::uuid[]) FOR KEY SHARE
    ON CONFLICT DO NOTHING RETURNING goal_id`);
  const ended = await tx.query<{ goal_id: string }>(sql`
    DELETE FROM config.late_stream WHERE goal_id <> ALL(${late}::uuid[]) RETURNING goal_id`);
  return {
    began: began.rows.map((row) => row.goal_id),
    ended: ended.rows.map((row) => row.goal_id),
  };
}

interface Judgement {
  readonly event: AlertEvent;
  readonly is: boolean;
  readonly text: string;
  readonly over: string;
  readonly more?: Pick<Told, 'error' | 'figures'>;
}

function judge(stream: WatchedStream): readonly Judgement[] {
  const { state, fault, deadLetters, late, unsentSeconds, maxLagSeconds } = stream;
  const off = state === 'off' ? 'it was switched off' : undefined;
  const seconds = Math.floor(unsentSeconds);
  return [
    {
      event: 'delayed',
      is: late,
      text: `the oldest unsent change is ${seconds} seconds old, more than ${maxLagSeconds}`,
      over: off ?? (state === 'paused' ? 'it is paused' : 'no unsent change is older than it may be any more'),
      more: { figures: { unsentSeconds: seconds, limitSeconds: maxLagSeconds } },
    },
    {
      event: 'failed',
      is: fault !== undefined,
      text: `nothing can be sent: ${fault?.message ?? ''}`,
      over: off ?? 'it can be sent to again',
      ...(fault === undefined ? {} : { more: { error: { code: fault.code, message: fault.message } } }),
    },
    {
      event: 'dead-letters',
      is: deadLetters > 0,
      text: 'records were given up: look at the dead letters, mend the cause and replay them',
      over: off ?? 'no dead letters are left',
      more: { figures: { deadLetters } },
    },
  ];
}

/** Returns how many alerts were queued. */
async function tellRule(tx: Transaction, rule: ListeningRule, stream: WatchedStream): Promise<number> {
  const goal = { id: stream.goalId, name: stream.name };
  const name = `connection "${rule.connection.name}", stream "${stream.name}"`;
  let told = 0;
  for (const { event, is, text, over, more = {} } of judge(stream)) {
    const incident = { subject: stream.goalId, event };
    if (is) {
      if (!(await openIncident(tx, rule, incident))) continue;
      const occurrence = `stream:${stream.goalId}:${event}:${Date.now()}`;
      await queueAlert(tx, rule, occurrence, { event, recovered: false, text: `${name}: ${text}`, goal, ...more });
    } else {
      const since = await closeIncident(tx, rule, incident);
      if (since === undefined) continue;
      const occurrence = `stream:${stream.goalId}:${event}:over:${since.getTime()}`;
      await queueAlert(tx, rule, occurrence, { event, recovered: true, text: `${name}: ${over}`, goal });
    }
    told += 1;
  }
  return told;
}
