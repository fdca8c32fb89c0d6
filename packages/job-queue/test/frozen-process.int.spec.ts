import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createInterface } from 'node:readline';
import type { Database } from '@millrace/database';
import { waitFor } from '@millrace/testing';
import { Leases, type Lease } from '../src/index.js';
import { markers, workDatabase, type WorkDatabase } from './work-database.js';

let work: WorkDatabase;
let database: Database;
let leases: Leases;
const children: ChildProcess[] = [];

beforeAll(async () => {
  work = await workDatabase('frozen');
  database = work.database;
  leases = new Leases(database);
});

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await work.close();
});

// The process takes the lease, commits 'first', writes 'second' in another transaction and prints "in the middle" before its COMMIT.
async function startHolder(
  resource: string,
  how: 'idle' | 'busy',
): Promise<{ child: ChildProcess; lines: AsyncIterator<string> }> {
  const script = fileURLToPath(new URL('./holder-process.mjs', import.meta.url));
  const child = spawn(process.execPath, [script, work.url, resource, how], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe('in the middle');
  return { child, lines };
}

describe.each(['idle', 'busy'] as const)('a process frozen in the middle of a transaction (%s)', (how) => {
  it('neither blocks its successor nor commits when it thaws', async () => {
    const resource = `unit:frozen-${how}`;
    const { child, lines } = await startHolder(resource, how);
    child.kill('SIGSTOP');
    const lease = (await waitFor(() => leases.take(resource, 'successor', 60_000), 60_000, 'the takeover')) as Lease;
    expect(lease.owner).toBe('successor');
    child.kill('SIGCONT');
    expect((await lines.next()).value).toBe('transaction failed');
    expect((await lines.next()).value).toBe('next transaction: LeaseLostError');
    await once(child, 'exit');
    const written = await markers(database);
    expect(written).toContain(`${how} first`);
    expect(written).not.toContain(`${how} second`);
  });
});
