import { Database, sql } from '@millrace/database';
import { waitFor } from '@millrace/testing';
import { LaneFloors, OutboxHorizon } from '../src/storage/outbox-horizon.js';
import { readOutbox, settleOutbox } from '../src/storage/outbox.js';
import { StreamWorkspace } from './stream-workspace.js';

let workspace: StreamWorkspace;
let reader: Database;
const lanes = Array.from({ length: 256 }, (_, lane) => lane);

beforeAll(async () => {
  workspace = await StreamWorkspace.create('horizon');
  reader = new Database({ url: workspace.url, applicationName: 'reader', maxConnections: 2 });
});

afterAll(async () => {
  await reader.end();
  await workspace.drop();
});

async function newestId(): Promise<bigint> {
  const { rows } = await reader.query<{ id: string }>(sql`SELECT last_value AS id FROM profile.outbox_id_seq`);
  return BigInt(rows[0]?.id ?? 0);
}

/** Takes everything there is, looking only where the floors say it can be. */
async function take(floors: LaneFloors): Promise<number> {
  const looked = floors.beforeLook();
  const rows = await readOutbox(
    reader,
    lanes.map((lane) => ({ lane, after: floors.of(lane), rows: 100 })),
  );
  const taken = await settleOutbox(reader, rows, []);
  looked(lanes.filter((lane) => rows.filter((row) => row.lane === lane).length < 100));
  return taken;
}

describe('OutboxHorizon', () => {
  it('does not pass the first row there ever is', async () => {
    const horizon = new OutboxHorizon();
    const floors = new LaneFloors(horizon);
    for (let round = 0; round < 4; round += 1) {
      await horizon.advance(reader);
      await take(floors);
    }
    expect(horizon.through).toBe(0n);
    await workspace.change(await workspace.profile(), { written: ['points'] });
    expect(await take(floors)).toBe(1);
  });

  it('stays behind a number that an open transaction has taken, and passes it once that has ended', async () => {
    const horizon = new OutboxHorizon();
    const floors = new LaneFloors(horizon);
    const early = await workspace.profile();
    const late = await workspace.profile();
    let numberTaken: () => void = () => undefined;
    const taken = new Promise<void>((resolve) => (numberTaken = resolve));
    let commit: () => void = () => undefined;
    const committed = new Promise<void>((resolve) => (commit = resolve));
    const writing = workspace.database.transaction(async (tx) => {
      await workspace.change(early, { written: ['points'] }, tx);
      numberTaken();
      await committed;
    });
    await taken;
    const earlyId = await newestId();
    await workspace.change(late, { written: ['points'] });

    for (let round = 0; round < 4; round += 1) {
      await horizon.advance(reader);
      await take(floors);
    }
    expect(horizon.through).toBeLessThan(earlyId);
    commit();
    await writing;
    // The row with the smaller number shows up behind the greater one, and is found.
    expect(await take(floors)).toBe(1);

    const newest = await newestId();
    // Transactions of other databases in the cluster hold it up as well, while they last.
    await waitFor(async () => {
      await horizon.advance(reader);
      return horizon.through >= newest;
    });
  });

  it('does not let a lane pass over rows that a full look left behind', async () => {
    const horizon = new OutboxHorizon();
    const floors = new LaneFloors(horizon);
    const id = await workspace.profile();
    for (let change = 0; change < 150; change += 1) await workspace.change(id, { written: ['points'] });
    for (let round = 0; round < 4; round += 1) await horizon.advance(reader);
    expect(await take(floors)).toBe(100);
    expect(await take(floors)).toBe(50);
  });

  it('starts from the beginning in a lane that was away', async () => {
    const horizon = new OutboxHorizon();
    const floors = new LaneFloors(horizon);
    for (let round = 0; round < 4; round += 1) await horizon.advance(reader);
    await take(floors);
    expect(floors.of(7)).toBe(horizon.through);
    floors.keep(lanes.filter((lane) => lane !== 7));
    expect(floors.of(7)).toBe(0n);
    expect(floors.of(8)).toBe(horizon.through);
  });

  it('forgets everything when the numbers go back', async () => {
    const horizon = new OutboxHorizon();
    const floors = new LaneFloors(horizon);
    for (let round = 0; round < 4; round += 1) await horizon.advance(reader);
    await take(floors);
    await reader.query(sql`SELECT setval('profile.outbox_id_seq', 1)`);
    await horizon.advance(reader);
    expect(horizon.through).toBe(0n);
    expect(floors.of(7)).toBe(0n);
  });
});
