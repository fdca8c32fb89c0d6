import { randomUUID } from 'node:crypto';
import { sealEndpoint } from '@millrace/crypto';
import { type ConfigError, createLogger, parseConfig, type Service, startService } from '@millrace/service-kit';
import { awsAccess, createTestBucket, testRedisUrl } from '@millrace/testing';
import { AppModule } from '../src/app.module.js';
import { configSchema } from '../src/config.js';
import { ExportFixture } from './export-fixture.js';

describe('the service', () => {
  let fixture: ExportFixture;
  let service: Service;
  let env: Record<string, string>;
  const sealingKey = Buffer.alloc(32, 7);
  const lines: string[] = [];

  beforeAll(async () => {
    fixture = await ExportFixture.create('boot');
    env = {
      MILLRACE_DATABASE_URL: fixture.testDatabase.url,
      MILLRACE_REDIS_URL: await testRedisUrl(),
      MILLRACE_PORT: '0',
      MILLRACE_SEALING_KEY: sealingKey.toString('base64'),
      MILLRACE_SERVICE_TOKEN: 'a-token-the-services-share',
    };
    const logger = createLogger({
      service: 'batch-exporter',
      level: 'debug',
      destination: { write: (line: string) => void lines.push(line) },
    });
    service = await startService({
      module: AppModule.with(parseConfig(configSchema, env), logger),
      name: 'batch-exporter',
      port: 0,
      host: '127.0.0.1',
      logger,
    });
  });

  afterAll(async () => {
    await service.stop();
    await fixture.close();
  });

  it('is ready, takes work that no message told of, opens its secrets, and counts', async () => {
    expect((await fetch(`${service.url}/health/ready`)).status).toBe(200);
    await fixture.addProfiles([{ email: 'planted@secret.test', points: 1 }]);
    const { bucket, client } = await createTestBucket('boot');
    const { endpoint, region, accessKeyId, secretAccessKey } = awsAccess('s3');
    const goal = fixture.goal({ target: { bucket, directory: '' } });
    const goalId = randomUUID();
    const { connectionId } = fixture.snapshot(goalId, goal);
    const sealed = sealEndpoint(
      { region, endpoint, credentials: { kind: 'access-key', accessKeyId, secretAccessKey } },
      sealingKey,
      { workspaceId: fixture.workspaceId, connectionId },
    );
    const { runId } = await fixture.open(goalId, goal, sealed, connectionId);
    const { outcome, counts, error } = await fixture.outcome(runId);
    expect({ outcome, error }).toEqual({ outcome: 'succeeded', error: undefined });
    expect((await client.get(bucket, counts.files[0]?.name ?? '')).toString()).toBe(
      'E-mail,Points\nplanted@secret.test,1\n',
    );
    expect(await (await fetch(`${service.url}/metrics`)).text()).toMatch(
      /millrace_export_rows_total\{service="batch-exporter"\} 1/,
    );
  });

  it('previews an export for whoever shows the service token', async () => {
    const ask = async (authorization: string): Promise<Response> =>
      await fetch(`${service.url}/previews`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization },
        body: JSON.stringify({ workspaceId: fixture.workspaceId, goalId: randomUUID(), goal: fixture.goal() }),
      });
    expect((await ask('Bearer wrong')).status).toBe(401);
    const answer = await ask('Bearer a-token-the-services-share');
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ due: 1, text: 'E-mail,Points\nplanted@secret.test,1\n' });
  });

  it('says that secrets were sealed for another key, and tells none of them', async () => {
    const goal = fixture.goal();
    const sealed = sealEndpoint(
      {
        region: 'us-east-1',
        credentials: { kind: 'access-key', accessKeyId: 'AK', secretAccessKey: 'a planted secret' },
      },
      Buffer.alloc(32, 8),
      { workspaceId: fixture.workspaceId, connectionId: randomUUID() },
    );
    expect(await fixture.run(randomUUID(), goal, sealed)).toMatchObject({
      outcome: 'failed',
      error: { code: 'seal-broken' },
    });
    const log = lines.join('');
    expect(log).toContain('export delivered');
    expect(log).not.toMatch(/planted/);
  });

  it('refuses to start on a configuration that cannot work, naming each key', () => {
    let problems: readonly string[] = [];
    try {
      parseConfig(configSchema, { ...env, MILLRACE_SEALING_KEY: 'c2hvcnQ=', MILLRACE_EXPORT_PARTS: '0' });
    } catch (error) {
      ({ problems } = error as ConfigError);
    }
    expect(problems.map((problem) => problem.slice(0, problem.indexOf(':')))).toEqual([
      'MILLRACE_SEALING_KEY',
      'MILLRACE_EXPORT_PARTS',
    ]);
  });
});
