import { summariseError, type Connection, type Goal } from '@millrace/domain';
import type { EventStream } from '@millrace/event-stream';
import type { ObjectStore } from '@millrace/object-store';
import type { ConnectionTest, ConnectionTestResult } from './connection-views.js';

/** Opens drivers for a connection whose secrets are open. */
export interface Drivers {
  objectStore(connection: Connection): ObjectStore;
  eventStream(connection: Connection): EventStream;
}

type Check = ConnectionTestResult['checks'][number];

interface Target {
  readonly target: string;
  readonly directory: string;
  readonly needs: Check['needs'];
}

/** Tries out what runs and streams will need, without leaving anything behind. Failures are findings, not errors. */
export async function tryConnection(
  connection: Connection,
  goals: readonly Goal[],
  test: ConnectionTest,
  drivers: Drivers,
): Promise<ConnectionTestResult> {
  const targets = test.target === undefined ? targetsOf(goals) : [askedTarget(connection, test.target, test)];
  const checks =
    connection.kind === 's3'
      ? await tryBuckets(connection, targets, drivers)
      : await tryStreams(connection, targets, drivers);
  return { ok: checks.every(({ ok }) => ok), checks };
}

function askedTarget(connection: Connection, target: string, { directory, needs }: ConnectionTest): Target {
  return { target, directory, needs: connection.kind === 's3' ? needs : 'stream' };
}

function targetsOf(goals: readonly Goal[]): readonly Target[] {
  const targets = goals.map((goal): Target => {
    switch (goal.kind) {
      case 'import-groups':
      case 'import-profiles':
        return { target: goal.source.bucket, directory: goal.source.directory, needs: 'import' };
      case 'export-profiles':
        return { target: goal.target.bucket, directory: goal.target.directory, needs: 'export' };
      case 'stream':
        return { target: goal.streamName, directory: '', needs: 'stream' };
    }
  });
  return [...new Map(targets.map((target) => [JSON.stringify(target), target])).values()];
}

async function tryBuckets(connection: Connection, targets: readonly Target[], drivers: Drivers): Promise<Check[]> {
  const store = drivers.objectStore(connection);
  try {
    return await inTurn(targets, async ({ target, directory, needs }) => {
      const permissions = await store.check(target, needs === 'export' ? 'export' : 'import', directory);
      return { ok: permissions.missing.length === 0, permissions };
    });
  } finally {
    store.close();
  }
}

async function tryStreams(connection: Connection, targets: readonly Target[], drivers: Drivers): Promise<Check[]> {
  const stream = drivers.eventStream(connection);
  try {
    return await inTurn(targets, async ({ target }) => {
      const permissions = await stream.check(target);
      const described = permissions.findings.some(
        ({ permission, status }) => permission.includes('DescribeStream') && status === 'missing',
      )
        ? {}
        : await stream.describe(target);
      return { ok: permissions.missing.length === 0, permissions, ...described };
    });
  } finally {
    stream.close();
  }
}

async function inTurn(
  targets: readonly Target[],
  attempt: (target: Target) => Promise<Pick<Check, 'ok'>>,
): Promise<Check[]> {
  const checks: Check[] = [];
  for (const target of targets) {
    const { target: name, needs } = target;
    try {
      checks.push({ target: name, needs, ...(await attempt(target)) });
    } catch (error) {
      const { code, message } = summariseError(error);
      checks.push({ target: name, needs, ok: false, error: { code, message } });
    }
  }
  return checks;
}

const patienceMs = 5000;

/** The same for one stream goal as it is saved; an answer that does not come in time is a finding, too. */
export async function tryStreamGoal(connection: Connection, goal: Goal, drivers: Drivers): Promise<Check> {
  const target = goal.kind === 'stream' ? goal.streamName : '';
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Check>((resolve) => {
    const message = 'the service has not answered in time: whether the stream can be written to is unverified';
    const unanswered: Check = { target, needs: 'stream', ok: false, error: { code: 'check-unanswered', message } };
    timer = setTimeout(() => resolve(unanswered), patienceMs);
  });
  try {
    const tried = tryConnection(connection, [goal], { directory: '', needs: 'import' }, drivers);
    return await Promise.race([tried.then(({ checks }) => checks[0] ?? late), late]);
  } finally {
    clearTimeout(timer);
  }
}
