import { createMemoryWakeUps } from '@millrace/job-queue';
import { ProgressTeller } from './progress-teller.js';

describe('ProgressTeller', () => {
  it('tells at most once in an interval', async () => {
    let now = 0;
    const statements: unknown[] = [];
    const executor = {
      query: async (statement: unknown) => {
        statements.push(statement);
        return { rows: [], rowCount: 1 };
      },
    };
    const teller = new ProgressTeller({
      target: { runId: 'r', goalId: 'g' },
      wakeUps: createMemoryWakeUps(),
      intervalMs: 500,
      now: () => now,
    });
    const tell = (): Promise<boolean> =>
      teller.tell(
        executor as never,
        () => ({ phase: 'reading', done: 1, unit: 'bytes' }),
        () => ({}),
      );
    expect(await tell()).toBe(true);
    now = 499;
    expect(await tell()).toBe(false);
    now = 500;
    expect(await tell()).toBe(true);
    expect(statements).toHaveLength(2);
  });
});
