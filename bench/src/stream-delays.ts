import { sql } from '@millrace/database';
import { round } from './bench.js';
import type { StreamSetting } from './stream-setting.js';

const commitEveryMs = 10;
/** Scores of changes begin here; the seeded ones are below. */
const firstChange = 1_000_000;

export interface Delays {
  readonly changesPerSecond: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

interface SteadyRate {
  readonly perSecond: number;
  /** How many profiles to leave out, because changes before have had them. */
  readonly skip?: number;
  /** Asked before each commit; it ends at the latest when every profile was changed once. */
  readonly goOn: (elapsedMs: number) => boolean;
}

/** Milliseconds from COMMIT's return at the writer to the acknowledgement, at a steady rate, each change on a profile of its own. */
export async function steadyDelays(setting: StreamSetting, { perSecond, skip = 0, goOn }: SteadyRate): Promise<Delays> {
  const { sink, profileIds } = setting;
  const perCommit = (perSecond * commitEveryMs) / 1000;
  const committedAt = new Map<number, number>();
  const pending: Promise<void>[] = [];
  const startedAt = performance.now();
  for (let commit = 0; skip + (commit + 1) * perCommit <= profileIds.length; commit += 1) {
    const restMs = startedAt + commit * commitEveryMs - performance.now();
    if (restMs > 1) await new Promise((resolve) => setTimeout(resolve, restMs));
    if (!goOn(performance.now() - startedAt)) break;
    pending.push(changeSome(setting, skip + commit * perCommit, perCommit, committedAt));
  }
  await Promise.all(pending);
  const elapsedMs = performance.now() - startedAt;
  return {
    changesPerSecond: Math.round((committedAt.size * 1000) / elapsedMs),
    ...percentiles(await arrivalDelays(sink, committedAt)),
  };
}

/** Waits until every change has arrived; `committedAt`: epoch milliseconds by change. */
export async function arrivalDelays(
  sink: StreamSetting['sink'],
  committedAt: ReadonlyMap<number, number>,
): Promise<readonly number[]> {
  for (;;) {
    const arrived = new Map((await sink.report(true)).arrivals);
    const delays = [...committedAt].flatMap(([change, at]) => {
      const arrival = arrived.get(change);
      return arrival === undefined ? [] : [Math.max(0, arrival - at)];
    });
    if (delays.length === committedAt.size) return delays;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

export function percentiles(delays: readonly number[]): Pick<Delays, 'p50Ms' | 'p95Ms' | 'p99Ms'> {
  const sorted = [...delays].sort((a, b) => a - b);
  const at = (share: number): number =>
    round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0, 1);
  return { p50Ms: at(0.5), p95Ms: at(0.95), p99Ms: at(0.99) };
}

async function changeSome(
  { bench, workspaceId, scoreId, profileIds }: StreamSetting,
  from: number,
  count: number,
  committedAt: Map<number, number>,
): Promise<void> {
  const ids = profileIds.slice(from, from + count);
  const changes = ids.map((_, index) => firstChange + from + index);
  await bench.database.query(sql`
    WITH changed AS (
      UPDATE profile.profile p SET properties = p.properties || jsonb_build_object('score', c.score), version = p.version + 1, changed_xid = pg_current_xact_id()
      FROM unnest(${ids}::uuid[], ${changes}::int[]) AS c (id, score) WHERE p.id = c.id RETURNING p.id, p.version
    )
    INSERT INTO profile.outbox (lane, workspace_id, profile_id, version, written, changed)
    SELECT profile.lane(id), ${workspaceId}::int, id, version, ${[scoreId]}::int[], ${[scoreId]}::int[] FROM changed`);
  const now = performance.timeOrigin + performance.now();
  for (const change of changes) committedAt.set(change, now);
}
