import { sql, type Database, type Sql } from '@millrace/database';
import { createLogger, createMetrics } from '@millrace/service-kit';
import { waitFor } from '@millrace/testing';
import { Flights } from '../src/publish-changes/flights.js';
import { GoalFlow } from '../src/publish-changes/goal-flow.js';
import { GoalSender } from '../src/publish-changes/goal-sender.js';
import { heldLanes } from '../src/publish-changes/held-lanes.js';
import { PublisherEvents } from '../src/publish-changes/publisher.events.js';
import { ChangeSender } from '../src/publish-changes/send-changes.js';
import { StreamWorkspace } from './stream-workspace.js';

let workspace: StreamWorkspace;

beforeAll(async () => {
  workspace = await StreamWorkspace.create('moved-rows');
});

afterAll(async () => {
  await workspace.drop();
});

/** The dead row before it stays where it is while somebody may still see it. */
async function move(database: Database): Promise<void> {
  const place = async (): Promise<unknown> =>
    (await database.query(sql`SELECT array_agg(ctid)::text AS place FROM profile.outbox`)).rows[0]?.['place'];
  const before = await place();
  await waitFor(async () => {
    await database.query(sql`VACUUM FULL profile.outbox`);
    return (await place()) !== before;
  });
}

/** The same database, where the outbox is written anew after the first statement. */
function movingOnce(database: Database): Database {
  let moved = false;
  const query = async (statement: Sql): Promise<unknown> => {
    const result = await database.query(statement);
    if (!moved) {
      moved = true;
      await move(database);
    }
    return result;
  };
  // Only `query` is called.
  return { query } as unknown as Database;
}

describe('outbox rows that lie elsewhere when they are to be removed', () => {
  it('are read again, though everything up to their numbers has been looked through', async () => {
    const database = movingOnce(workspace.database);
    const events = new PublisherEvents(
      createLogger({ service: 'stream-publisher', level: 'fatal' }),
      createMetrics({ service: 'stream-publisher' }),
    );
    const sender = new ChangeSender({
      database,
      goals: () => [],
      flow: () => new GoalFlow(500),
      flights: new Flights(() => heldLanes(new Map(), 0, 1)),
      sender: new GoalSender({ database, events, requestTimeoutMs: 1000, mayStart: () => true }),
      horizon: { through: 1_000_000n },
      events,
      announce: () => undefined,
      patienceMs: 1000,
    });
    const [before, id] = [await workspace.profile(), await workspace.profile()];
    await workspace.change(before, { identities: true });
    await workspace.change(id, { identities: true });
    await workspace.database.query(sql`DELETE FROM profile.outbox WHERE profile_id = ${before}`);

    const lanes = Array.from({ length: 256 }, (_, lane) => lane);
    expect(await sender.sendChanges(lanes, 0)).toMatchObject({ rows: 1 });
    expect(await workspace.quiet()).toBe(false);
    expect(await sender.sendChanges(lanes, 0)).toMatchObject({ rows: 1 });
    expect(await workspace.quiet()).toBe(true);
  });
});
