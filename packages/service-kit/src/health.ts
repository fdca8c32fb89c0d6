import { summariseError } from '@millrace/domain';

export type HealthCheck = () => Promise<unknown>;

export interface HealthReport {
  readonly status: 'ok' | 'failed' | 'stopping';
  readonly checks: Readonly<Record<string, { readonly status: 'ok' | 'failed'; readonly message?: string }>>;
}

/** What must work for the service to be ready. Redis is not among it: work goes on without. */
export class HealthRegistry {
  readonly #checks = new Map<string, HealthCheck>();
  #stopping = false;

  /** A check that rejects, or takes longer than two seconds, makes the service not ready. */
  add(name: string, check: HealthCheck): void {
    this.#checks.set(name, check);
  }

  /** From now on the service is not ready, so that no new requests are sent to it. */
  markStopping(): void {
    this.#stopping = true;
  }

  async report(): Promise<HealthReport> {
    const results = await Promise.all(
      [...this.#checks].map(async ([name, check]) => [name, await outcomeOf(check)] as const),
    );
    const failed = results.some(([, result]) => result.status === 'failed');
    return { status: this.#stopping ? 'stopping' : failed ? 'failed' : 'ok', checks: Object.fromEntries(results) };
  }
}

const checkTimeoutMs = 2000;

async function outcomeOf(check: HealthCheck): Promise<{ status: 'ok' | 'failed'; message?: string }> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<'timeout'>((resolve) => (timer = setTimeout(() => resolve('timeout'), checkTimeoutMs)));
  try {
    const result = await Promise.race([check(), timeout]);
    return result === 'timeout' ? { status: 'failed', message: `no answer in ${checkTimeoutMs} ms` } : { status: 'ok' };
  } catch (error) {
    return { status: 'failed', message: summariseError(error).message };
  } finally {
    clearTimeout(timer);
  }
}
