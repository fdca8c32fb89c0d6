import type { Reject } from '../storage/rejects.js';
import { RejectList } from './reject-list.js';

const reject = (line: number, more: Partial<Reject> = {}): Reject => ({
  line,
  scope: 'row',
  column: undefined,
  code: 'nul',
  message: 'a NUL character',
  raw: 'x',
  ...more,
});

function list(maxStored: number) {
  const stored: number[] = [];
  const rejects = new RejectList({
    maxStored,
    store: async (batch) => void stored.push(...batch.map(({ line }) => line)),
  });
  return { rejects, stored };
}

describe('RejectList', () => {
  it('stores what it was given, in order', async () => {
    const { rejects, stored } = list(10);
    rejects.add(reject(3));
    rejects.add(reject(7));
    await rejects.flush();
    await rejects.flush();
    expect(stored).toEqual([3, 7]);
  });

  it('counts rows and fields apart, and those it no longer stores too', async () => {
    const { rejects, stored } = list(1);
    rejects.add(reject(1));
    rejects.add(reject(2));
    await rejects.flush();
    rejects.add(reject(3, { scope: 'field' }));
    await rejects.flush();
    expect(stored).toEqual([1]);
    expect([rejects.rows, rejects.fields]).toEqual([2, 1]);
  });

  it('asks to be flushed after many rejects, or a few long ones', () => {
    const { rejects } = list(10_000);
    for (let line = 0; line < 499; line += 1) rejects.add(reject(line));
    expect(rejects.full).toBe(false);
    rejects.add(reject(500));
    expect(rejects.full).toBe(true);
    const long = list(10_000).rejects;
    long.add(reject(1, { raw: 'x'.repeat(2 * 1024 * 1024) }));
    expect(long.full).toBe(true);
  });
});
