import { TransientError } from '@millrace/domain';
import { HealthRegistry } from './health.js';

describe('HealthRegistry', () => {
  it('is ok while every check is', async () => {
    const health = new HealthRegistry();
    health.add('database', async () => 1);
    expect(await health.report()).toEqual({ status: 'ok', checks: { database: { status: 'ok' } } });
  });

  it('names the check that failed, without the inside of a bug', async () => {
    const health = new HealthRegistry();
    health.add('database', async () =>
      Promise.reject(new TransientError('database-unavailable', 'PostgreSQL cannot be reached')),
    );
    health.add('other', async () => Promise.reject(new Error('planted')));
    const report = await health.report();
    expect(report).toMatchObject({
      status: 'failed',
      checks: { database: { status: 'failed', message: 'PostgreSQL cannot be reached' } },
    });
    expect(JSON.stringify(report)).not.toContain('planted');
  });

  it('fails a check that does not answer', async () => {
    const health = new HealthRegistry();
    health.add('hanging', () => new Promise(() => undefined));
    expect(await health.report()).toMatchObject({
      checks: { hanging: { status: 'failed', message: 'no answer in 2000 ms' } },
    });
  });

  it('is not ready once the service stops', async () => {
    const health = new HealthRegistry();
    health.markStopping();
    expect((await health.report()).status).toBe('stopping');
  });
});
