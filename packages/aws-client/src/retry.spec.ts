import { InputError, TransientError } from '@millrace/domain';
import { backoffMs, withRetries } from './retry.js';

const policy = { attempts: 4, firstDelayMs: 100, maxDelayMs: 1000 };
const quick = { attempts: 4, firstDelayMs: 1, maxDelayMs: 2 };

describe('backoff', () => {
  it('doubles, and stays between half and all of the delay', () => {
    expect([1, 2, 3].map((attempt) => backoffMs(policy, attempt, false, () => 0))).toEqual([50, 100, 200]);
    expect([1, 2, 3].map((attempt) => backoffMs(policy, attempt, false, () => 1))).toEqual([100, 200, 400]);
  });

  it('never exceeds the longest delay', () => {
    expect(backoffMs(policy, 30, false, () => 1)).toBe(1000);
  });

  it('starts five times as long after "slow down"', () => {
    expect(backoffMs(policy, 1, true, () => 1)).toBe(500);
  });
});

describe('retries', () => {
  const failing = (times: number, error: Error) => {
    const calls = { count: 0 };
    const action = async () => {
      calls.count += 1;
      if (calls.count <= times) throw error;
      return 'done';
    };
    return { action, calls };
  };

  it('repeats what failed in passing', async () => {
    const { action, calls } = failing(3, Object.assign(new Error('reset'), { code: 'ECONNRESET' }));
    expect(await withRetries(action, quick)).toBe('done');
    expect(calls.count).toBe(4);
  });

  it('throws the last error when the attempts are used up', async () => {
    const { action, calls } = failing(9, new TransientError('credentials-unavailable', 'no answer'));
    await expect(withRetries(action, quick)).rejects.toMatchObject({ code: 'credentials-unavailable' });
    expect(calls.count).toBe(4);
  });

  it.each([new InputError('bucket-not-found', 'no bucket'), new TypeError('a bug')])(
    'does not repeat %s',
    async (error) => {
      const { action, calls } = failing(9, error);
      await expect(withRetries(action, quick)).rejects.toBe(error);
      expect(calls.count).toBe(1);
    },
  );

  it('ends its pause when told to stop, with the error of the last try', async () => {
    const stop = new AbortController();
    const error = Object.assign(new Error('reset'), { code: 'ECONNRESET' });
    const running = withRetries(
      async () => {
        setImmediate(() => stop.abort());
        throw error;
      },
      { attempts: 5, firstDelayMs: 60_000, maxDelayMs: 60_000 },
      stop.signal,
    );
    await expect(running).rejects.toBe(error);
  });
});
