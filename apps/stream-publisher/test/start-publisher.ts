import { Database } from '@millrace/database';
import type { EventStream } from '@millrace/event-stream';
import { createMemoryWakeUps, newOwner, type WakeUps } from '@millrace/job-queue';
import { createLogger, createMetrics, type Metrics } from '@millrace/service-kit';
import { PublisherEvents } from '../src/publish-changes/publisher.events.js';
import { Publisher, type PublisherSettings } from '../src/publish-changes/publisher.js';

export const quickSettings: PublisherSettings = {
  slots: 2,
  requestTimeoutMs: 400,
  leaseMs: 1500,
  lingerMs: 5,
  idlePollMs: 25,
  sweepMs: 50,
  patienceMs: 100,
  backfill: { members: 100, pendingPerGoal: 1000 },
  backlogEveryMs: 100,
  totalsEveryMs: 50,
  deadLetterDays: 30,
};

export interface RunningPublisher {
  readonly publisher: Publisher;
  readonly metrics: Metrics;
  readonly wakeUps: WakeUps;
  stop(): Promise<void>;
}

/** A publisher on a test database that sends everything to `stream`. */
export async function startPublisher(
  url: string,
  stream: EventStream,
  settings: Partial<PublisherSettings> = {},
): Promise<RunningPublisher> {
  const database = new Database({ url, applicationName: 'publisher', maxConnections: 8 });
  const leaseDatabase = new Database({ url, applicationName: 'publisher-leases', maxConnections: 2 });
  const log = createLogger({
    service: 'stream-publisher',
    level: process.env['MILLRACE_TEST_LOG'] === undefined ? 'fatal' : 'debug',
  });
  const metrics = createMetrics({ service: 'stream-publisher' });
  const wakeUps = createMemoryWakeUps();
  const publisher = new Publisher({
    database,
    leaseDatabase,
    wakeUps,
    openStream: () => stream,
    events: new PublisherEvents(log, metrics),
    owner: newOwner('stream-publisher'),
    log,
    settings: { ...quickSettings, ...settings },
  });
  await publisher.start();
  let stopped: Promise<void> | undefined;
  return {
    publisher,
    metrics,
    wakeUps,
    stop: () =>
      (stopped ??= (async () => {
        await publisher.stop();
        await database.end();
        await leaseDatabase.end();
      })()),
  };
}
