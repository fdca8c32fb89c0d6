import { randomUUID } from 'node:crypto';
import { sealEndpoint } from '@millrace/crypto';
import { type ConfigError, createLogger, parseConfig, startService, type Service } from '@millrace/service-kit';
import { testRedisUrl } from '@millrace/testing';
import { appModule, jsonBodies } from '../src/app.module.js';
import { configSchema } from '../src/config.js';
import { ImportHarness } from './import-harness.js';

const token = 'a token the services share';
let harness: ImportHarness;
let env: Record<string, string>;
let service: Service;

beforeAll(async () => {
  harness = await ImportHarness.create('boot', [{ name: 'name' }, { name: 'born', type: 'date' }]);
  env = {
    MILLRACE_DATABASE_URL: harness.testDatabase.url,
    MILLRACE_REDIS_URL: await testRedisUrl(),
    MILLRACE_PORT: '0',
    MILLRACE_SEALING_KEY: Buffer.from(harness.sealingKey).toString('base64'),
    MILLRACE_SERVICE_TOKEN: token,
  };
  const logger = createLogger({ service: 'importer', level: 'fatal' });
  const module = appModule(parseConfig(configSchema, env), logger);
  service = await startService({ module, name: 'importer', port: 0, host: '127.0.0.1', logger, json: jsonBodies });
});
afterAll(async () => {
  await service.stop();
  await harness.close();
});

const get = (path: string, authorization?: string): Promise<Response> =>
  fetch(`${service.url}${path}`, authorization === undefined ? {} : { headers: { authorization } });

describe('the service', () => {
  it('is ready, takes work that no message told of, and counts it', async () => {
    expect((await get('/health/ready')).status).toBe(200);
    await harness.put('customers.csv', 'id,name\n1,Ann\n');
    const run = await harness.run(harness.goal({ mappings: [{ column: 'name', property: 'name' }] }));
    expect(run).toMatchObject({ outcome: 'succeeded', counts: { created: 1 } });
    expect(await (await get('/metrics')).text()).toMatch(
      /millrace_import_rows_total\{outcome="created",service="importer"\} 1/,
    );
  });

  it('lists the rejects of a run page by page to whoever has the token, raw rows only when asked for', async () => {
    await harness.put('customers-2.csv', 'id,born\n1,x\n2,2001-01-01\n3,y\n4,2001-01-01\n');
    const source = { bucket: harness.bucket, directory: 'in', pattern: { kind: 'exact', name: 'customers-2.csv' } };
    const { runId } = await harness.run(harness.goal({ source, mappings: [{ column: 'born', property: 'born' }] }));
    const first = (await (await get(`/rejects/${runId}?limit=1`, `Bearer ${token}`)).json()) as {
      items: object[];
      next: string;
    };
    expect(first.items).toEqual([
      {
        id: expect.any(String),
        name: 'in/customers-2.csv',
        line: 2,
        scope: 'row',
        column: 'born',
        code: 'bad-value',
        message: expect.any(String),
      },
    ]);
    const second = await (await get(`/rejects/${runId}?after=${first.next}&raw=true`, `Bearer ${token}`)).json();
    expect(second).toEqual({ items: [expect.objectContaining({ line: 4, raw: '3,y' })] });
  });

  it('gives the reject file, takes it back corrected, shows dry runs and looks into files, all for the token only', async () => {
    await harness.put('fixable.csv', 'id,born\nboot-1,x\nboot-2,2001-01-01\n');
    const source = { bucket: harness.bucket, directory: 'in', pattern: { kind: 'exact', name: 'fixable.csv' } };
    const goal = harness.goal({ source, mappings: [{ column: 'born', property: 'born' }] });
    const dry = await harness.run(goal, { dryRun: true });
    const { runId } = await harness.run(goal);
    const post = (path: string, body: string, type: string, shown = token): Promise<Response> =>
      fetch(`${service.url}${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${shown}`, 'content-type': type },
        body,
      });
    const file = await get(`/rejects/${runId}/csv`, `Bearer ${token}`);
    expect(file.headers.get('content-type')).toContain('text/csv');
    const corrected = (await file.text()).replace('boot-1,x', 'boot-1,2002-02-02');
    expect(await (await post(`/fixed-rows/${runId}`, corrected, 'text/csv')).json()).toMatchObject({ created: 1 });
    const samples = await get(`/dry-runs/${dry.runId}`, `Bearer ${token}`);
    expect(await samples.json()).toMatchObject({ files: [{ name: 'in/fixable.csv', counts: { rejected: 1 } }] });
    const { workspaceId, connectionId, sealingKey } = harness;
    const endpoint = sealEndpoint(harness.endpoint(), sealingKey, { workspaceId, connectionId });
    const order = JSON.stringify({ workspaceId, connectionId, endpoint, request: goal });
    const preview = await post('/previews', order, 'application/json');
    expect(await preview.json()).toMatchObject({ setsFound: 1, files: [{ columns: [{ column: 'id' }, {}] }] });
    for (const refused of [
      await get(`/rejects/${runId}/csv`),
      await get(`/dry-runs/${dry.runId}`),
      await post(`/fixed-rows/${runId}`, corrected, 'text/csv', 'wrong'),
      await post('/previews', order, 'application/json', 'wrong'),
    ])
      expect(refused.status).toBe(401);
  });

  it('lists no rejects without the token, nor for what is no run', async () => {
    expect((await get(`/rejects/${randomUUID()}`)).status).toBe(401);
    expect((await get(`/rejects/${randomUUID()}`, 'Bearer something else')).status).toBe(401);
    expect((await get('/rejects/1', `Bearer ${token}`)).status).toBe(400);
    expect((await get(`/rejects/${randomUUID()}?limit=0`, `Bearer ${token}`)).status).toBe(400);
    expect(await (await get(`/rejects/${randomUUID()}`, `Bearer ${token}`)).json()).toEqual({ items: [] });
  });
});

describe('the configuration', () => {
  it('names every wrong key at once', () => {
    const wrong = {
      ...env,
      MILLRACE_SEALING_KEY: 'short',
      MILLRACE_IMPORT_LANES: '0',
      MILLRACE_SERVICE_TOKEN: 'short',
    };
    let problems: readonly string[] = [];
    try {
      parseConfig(configSchema, wrong);
    } catch (error) {
      problems = (error as ConfigError).problems;
    }
    expect(problems.map((problem) => problem.split(':')[0])).toEqual([
      'MILLRACE_SEALING_KEY',
      'MILLRACE_SERVICE_TOKEN',
      'MILLRACE_IMPORT_LANES',
    ]);
  });
});
