import { startApi, type Api } from './api-fixture.js';

let api: Api;
beforeAll(async () => {
  api = await startApi('boot');
});
afterAll(() => api.close());

const get = (path: string, accept = 'application/json'): Promise<Response> =>
  fetch(api.url + path, { headers: { accept } });

describe('the service', () => {
  it('is ready with every part in place', async () => {
    const ready = await get('/health/ready');
    expect(ready.status).toBe(200);
    expect(await ready.json()).toMatchObject({ status: 'ok', checks: { database: { status: 'ok' } } });
    expect((await get('/metrics')).status).toBe(200);
  });

  it('points programs and people to the documentation', async () => {
    expect(await (await get('/')).json()).toMatchObject({ documentation: '/api/docs', openApi: '/api/openapi.json' });
    const page = await get('/', 'text/html');
    expect(page.headers.get('content-type')).toContain('text/html');
    expect(await page.text()).toContain('href="/api/docs"');
  });

  it('serves its OpenAPI document without a key', async () => {
    const document = (await (await get('/api/openapi.json')).json()) as { openapi: string; paths: object };
    expect(document.openapi).toBe('3.1.0');
    expect(Object.keys(document.paths)).toContain('/api/v1/workspaces/{workspace}/runs/{runId}/events');
  });

  it('serves the documentation page and all it loads from here', async () => {
    const page = await (await get('/api/docs', 'text/html')).text();
    const loaded = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path!);
    expect(loaded).toHaveLength(3);
    for (const path of loaded) {
      expect(path).toMatch(/^\/api\/docs\//);
      const asset = await get(path, '*/*');
      expect(asset.status).toBe(200);
      expect(asset.headers.get('content-type')).toMatch(/javascript|css/);
      expect((await asset.text()).length).toBeGreaterThan(50);
    }
  });

  it('serves no other file', async () => {
    for (const name of ['package.json', '..%2f..%2fpackage.json', 'index.html', 'constructor']) {
      expect((await get(`/api/docs/${name}`)).status).toBe(404);
    }
  });
});
