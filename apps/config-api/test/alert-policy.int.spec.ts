import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { s3Connection, startApi, w, type Api } from './api-fixture.js';

const secret = 'a-secret-nobody-else-knows';

// An installation whose operator has allowed nothing and set up no mail server.
let api: Api;
let alerts: string;
beforeAll(async () => {
  api = await startApi('alert_policy', { env: { MILLRACE_ALERT_HTTP: 'true' } });
  const connectionId = (await api.call('POST', `${w}/connections`, s3Connection())).body.id as string;
  alerts = `${w}/connections/${connectionId}/alerts`;
});
afterAll(() => api?.close());

const save = (rule: object) => api.call('POST', alerts, { name: 'Operators', ...rule });

it('an address is refused when it is saved where there is no mail server, and says what to set', async () => {
  const { status, body } = await save({ emails: ['ops@example.org'] });
  expect({ status, code: body.code, at: body.at }).toEqual({ status: 400, code: 'smtp-missing', at: 'emails' });
  expect(body.detail).toContain('MILLRACE_SMTP_URL');
});

it.each([
  ['http://127.0.0.1:8080/x', 'a loopback address'],
  ['http://[::1]/x', 'the same in IPv6'],
  ['http://10.0.0.7/x', 'a private address'],
  ['http://169.254.169.254/latest/meta-data', 'the metadata of a cloud machine'],
  ['http://2130706433/x', 'a loopback address as a number'],
  ['http://[::ffff:127.0.0.1]/x', 'a loopback address in IPv6 clothes'],
  ['https://user:password@example.org/x', 'a password'],
])('a webhook to %s is refused when it is saved: %s', async (url) => {
  const { status, body } = await save({ webhooks: [{ url, secret }] });
  expect({ status, code: body.code, at: body.at }).toEqual({
    status: 400,
    code: 'webhook-refused',
    at: 'webhooks.0.url',
  });
});

it.each(['ftp://example.org/x', 'file:///etc/passwd', 'no url'])('%s is no webhook', async (url) => {
  const { status, body } = await save({ webhooks: [{ url, secret }] });
  expect({ status, at: body.at }).toEqual({ status: 400, at: 'webhooks.0.url' });
});

it('a name that turns out to be a private address is refused when it is sent to, and nothing reaches it', async () => {
  let requests = 0;
  const server = createServer((_request, response) => {
    requests += 1;
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const { status, body: rule } = await save({ webhooks: [{ url: `http://localhost:${port}/x`, secret }] });
    expect(status).toBe(201);
    const { body } = await api.call('POST', `${alerts}/${rule.id}/test`);
    expect(body).toMatchObject({ ok: false, deliveries: [{ state: 'failed', error: { code: 'webhook-refused' } }] });
    expect(requests).toBe(0);
  } finally {
    server.close();
  }
});

it('a secret must be long enough to keep', async () => {
  const { status, body } = await save({ webhooks: [{ url: 'https://example.org/x', secret: 'short' }] });
  expect({ status, at: body.at }).toEqual({ status: 400, at: 'webhooks.0.secret' });
});

it('http is refused where the operator has not allowed it', async () => {
  const strict = await startApi('alert_policy_strict');
  try {
    const id = (await strict.call('POST', `${w}/connections`, s3Connection())).body.id as string;
    const rule = { name: 'Operators', webhooks: [{ url: 'http://example.org/x', secret }] };
    const { status, body } = await strict.call('POST', `${w}/connections/${id}/alerts`, rule);
    expect({ status, code: body.code }).toEqual({ status: 400, code: 'webhook-refused' });
    expect(body.detail).toContain('MILLRACE_ALERT_HTTP');
  } finally {
    await strict.close();
  }
});
