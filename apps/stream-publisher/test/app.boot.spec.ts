import { Database, migrate, sql } from '@millrace/database';
import { workMigrations } from '@millrace/job-queue';
import { profileMigrations } from '@millrace/profile-store';
import { ConfigError, createLogger, parseConfig, startService } from '@millrace/service-kit';
import { createTestDatabase, testRedisUrl, waitFor, type TestDatabase } from '@millrace/testing';
import { appModule } from '../src/app.module.js';
import { configSchema, type Config } from '../src/config.js';
import { publisherMigrations } from '../src/migrations/publisher-migrations.js';

const sealingKey = Buffer.alloc(32, 7).toString('base64');
let test: TestDatabase;
let env: Record<string, string>;

beforeAll(async () => {
  test = await createTestDatabase('boot', { migrate, sets: [profileMigrations, workMigrations, publisherMigrations] });
  env = {
    MILLRACE_DATABASE_URL: test.url,
    MILLRACE_REDIS_URL: await testRedisUrl(),
    MILLRACE_PORT: '0',
    MILLRACE_SEALING_KEY: sealingKey,
  };
});

afterAll(async () => {
  await test.drop();
});

describe('the service', () => {
  it('starts, is ready, holds every lane, shows its metrics, and gives the lanes back when it stops', async () => {
    const config: Config = parseConfig(configSchema, env);
    const logger = createLogger({ service: 'stream-publisher', level: 'fatal' });
    const service = await startService({
      module: appModule(config, logger),
      name: 'stream-publisher',
      port: 0,
      host: '127.0.0.1',
      logger,
    });
    const database = new Database({ url: test.url, applicationName: 'test' });
    const held = async (): Promise<number> => {
      const { rows } = await database.query<{ held: number }>(
        sql`SELECT count(*)::int AS held FROM work.lease WHERE resource LIKE 'lane:%' AND expires_at > clock_timestamp()`,
      );
      return rows[0]?.held ?? 0;
    };
    try {
      expect((await fetch(`${service.url}/health/ready`)).status).toBe(200);
      await waitFor(async () => (await held()) === 256);
      const metrics = await waitFor(async () => {
        const text = await (await fetch(`${service.url}/metrics`)).text();
        return text.includes('millrace_stream_outbox_age_seconds') ? text : undefined;
      });
      expect(metrics).toContain('millrace_stream_latency_seconds');
    } finally {
      await service.stop();
    }
    expect(await held()).toBe(0);
    await database.end();
  });
});

describe('the configuration', () => {
  it('names every wrong key at once', () => {
    const wrong = { ...env, MILLRACE_SEALING_KEY: 'short', MILLRACE_STREAM_SLOTS: '0', MILLRACE_DATABASE_URL: '' };
    let error: unknown;
    try {
      parseConfig(configSchema, wrong);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ConfigError);
    const problems = (error as ConfigError).problems.join('\n');
    for (const key of ['MILLRACE_SEALING_KEY', 'MILLRACE_STREAM_SLOTS', 'MILLRACE_DATABASE_URL'])
      expect(problems).toContain(key);
    expect(problems).not.toContain('short');
  });

  it('refuses leases that leave no time to send', () => {
    expect(() => parseConfig(configSchema, { ...env, MILLRACE_STREAM_LEASE_MS: '1000' })).toThrow(
      'MILLRACE_STREAM_LEASE_MS',
    );
  });
});
