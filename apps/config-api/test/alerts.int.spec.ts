import { sql } from '@millrace/database';
import type { RunEventBody } from '@millrace/domain';
import { waitFor } from '@millrace/testing';
import type { AlertDeliveryView, AlertView } from '../src/manage-alerts/alert-views.js';
import { exportGoal, importGoal, s3Connection, startApi, w, type Api } from './api-fixture.js';
import {
  isSigned,
  startMailReceiver,
  startWebhookReceiver,
  type MailReceiver,
  type WebhookReceiver,
} from './receivers.js';

const secret = 'a-secret-nobody-else-knows';

let api: Api;
let mail: MailReceiver;
let hook: WebhookReceiver;
let everyone: string;

beforeAll(async () => {
  mail = await startMailReceiver();
  api = await startApi('alerts', {
    env: {
      MILLRACE_SMTP_URL: mail.url,
      MILLRACE_SMTP_FROM: 'millrace@example.org',
      MILLRACE_ALERT_HTTP: 'true',
      MILLRACE_ALERT_PRIVATE_ADDRESSES: 'true',
      MILLRACE_ALERT_RETRY_SECONDS: '0.2',
      MILLRACE_ALERT_WATCH_SECONDS: '0.2',
    },
  });
  everyone = (await api.call('POST', `${w}/segments`, { name: 'Everyone', rule: { kind: 'all', rules: [] } })).body.id;
});
afterAll(async () => {
  await api?.close();
  await mail.close();
});
beforeEach(async () => {
  hook = await startWebhookReceiver();
  mail.mails.length = 0;
  mail.refuse = () => undefined;
});
afterEach(() => hook.close());

interface Prepared {
  readonly connectionId: string;
  readonly alerts: string;
  readonly importId: string;
}

let connections = 0;
async function prepare(): Promise<Prepared> {
  const name = `Bucket ${(connections += 1)}`;
  const connectionId = (await api.call('POST', `${w}/connections`, s3Connection({ name }))).body.id as string;
  const importId = (await api.call('POST', `${w}/connections/${connectionId}/goals`, importGoal())).body.id as string;
  return { connectionId, importId, alerts: `${w}/connections/${connectionId}/alerts` };
}

const webhook = () => ({ url: hook.url, secret });
const rule = (more: object = {}): object => ({ name: 'Operators', webhooks: [webhook()], ...more });
const add = async ({ alerts }: Prepared, more: object = {}): Promise<AlertView> => {
  const { status, body } = await api.call('POST', alerts, rule(more));
  expect(status).toBe(201);
  return body as AlertView;
};

async function start({ connectionId }: Prepared, options: object = {}): Promise<string> {
  return (await api.call('POST', `${w}/connections/${connectionId}/runs`, options)).body.id as string;
}

function ended(outcome: 'succeeded' | 'failed' | 'cancelled', counts: object = {}): RunEventBody {
  const error = { error: { code: 'bucket-not-found', message: 'there is no bucket "acme-files"' } };
  return { kind: 'goal-finished', outcome, counts: { ...counts }, ...(outcome === 'failed' ? error : {}) };
}

/** A whole run of the import goal. */
async function run(prepared: Prepared, outcome: Parameters<typeof ended>[0], counts?: object): Promise<string> {
  const id = await start(prepared);
  await api.tell(id, prepared.importId, { kind: 'goal-started' }, ended(outcome, counts));
  await waitFor(async () => (await api.call('GET', `${w}/runs/${id}`)).body.state === outcome);
  return id;
}

const deliveries = async (query = ''): Promise<readonly AlertDeliveryView[]> =>
  (await api.call('GET', `${w}/alert-deliveries?${query}`)).body.items;
const settled = async ({ connectionId }: Prepared): Promise<readonly AlertDeliveryView[]> =>
  await waitFor(async () => {
    const all = await deliveries(`connectionId=${connectionId}`);
    return all.every(({ state }) => state !== 'pending') && all;
  });
const told = (): string[] =>
  hook.posts.map(({ message }) => `${message.recovered ? 'recovered ' : ''}${message.event}`);

describe('an alert', () => {
  it('tells of failed runs alone unless it is to tell of every run', async () => {
    const prepared = await prepare();
    await add(prepared);
    await run(prepared, 'succeeded', { rowsRead: 10, created: 10 });
    const failed = await run(prepared, 'failed');
    await settled(prepared);
    expect(told()).toEqual(['failed']);
    expect(hook.posts[0]!.message).toEqual({
      id: expect.any(String),
      event: 'failed',
      recovered: false,
      at: expect.any(String),
      text: `connection "Bucket ${connections}": a run has failed at goal "Import customers": there is no bucket "acme-files"`,
      workspace: 'acme',
      connection: { id: prepared.connectionId, name: `Bucket ${connections}` },
      alert: { id: expect.any(String), name: 'Operators' },
      goal: { id: prepared.importId, name: 'Import customers' },
      run: { id: failed },
      error: { code: 'bucket-not-found', message: 'there is no bucket "acme-files"' },
    });
  });

  it('tells of the beginning and the end of every run where it is asked to', async () => {
    const prepared = await prepare();
    await add(prepared, { notify: 'every-run' });
    await run(prepared, 'succeeded', { rowsRead: 10, created: 10 });
    await run(prepared, 'cancelled');
    await settled(prepared);
    expect(told().toSorted()).toEqual(['cancelled', 'started', 'started', 'succeeded']);
  });

  it('tells of nothing but the events it names, each failure anew, and of the recovery once', async () => {
    const prepared = await prepare();
    await add(prepared, { events: ['failed'] });
    for (const outcome of ['failed', 'failed', 'succeeded', 'succeeded'] as const) {
      await run(prepared, outcome, { rowsRead: 10, created: 5, rejected: 5 });
      await settled(prepared);
    }
    expect(told()).toEqual(['failed', 'failed', 'recovered failed']);
  });

  it('tells when the rejected or skipped share is above its threshold, and when it no longer is', async () => {
    const prepared = await prepare();
    await add(prepared, { rejectedPercent: 2, skippedPercent: 100 });
    await run(prepared, 'succeeded', { rowsRead: 100, created: 98, rejected: 1, ambiguous: 1 });
    await run(prepared, 'succeeded', {
      rowsRead: 100,
      created: 90,
      rejected: 2,
      ambiguous: 1,
      skipped: { consent: 7 },
    });
    await settled(prepared);
    expect(hook.posts.map(({ message }) => message)).toMatchObject([
      {
        event: 'rejected',
        goal: { id: prepared.importId },
        figures: { rows: 3, of: 100, percent: 3, limitPercent: 2 },
      },
    ]);
    await run(prepared, 'succeeded', { rowsRead: 100, created: 100 });
    await settled(prepared);
    expect(told()).toEqual(['rejected', 'recovered rejected']);
  });

  it('tells that a share is small again once the rejected rows have been corrected', async () => {
    const prepared = await prepare();
    await add(prepared);
    const id = await run(prepared, 'succeeded', { rowsRead: 100, created: 90, rejected: 10 });
    await api.tell(id, prepared.importId, {
      kind: 'goal-recounted',
      counts: { rowsRead: 100, created: 100, rejected: 0 },
    });
    await waitFor(() => told().length === 2);
    expect(told()).toEqual(['rejected', 'recovered rejected']);
  });

  it('counts what an export withholds as skipped', async () => {
    const prepared = await prepare();
    await add(prepared);
    const goals = `${w}/connections/${prepared.connectionId}/goals`;
    const exportId = (await api.call('POST', goals, exportGoal(everyone))).body.id as string;
    const id = await start(prepared);
    await api.tell(id, prepared.importId, ended('succeeded'));
    await waitFor(async () => (await api.call('GET', `${w}/runs/${id}`)).body.goals[1].state === 'queued');
    await api.tell(id, exportId, ended('succeeded', { rows: 97, withheld: 2, filtered: 1 }));
    await waitFor(() => told().length === 1);
    expect(hook.posts[0]!.message).toMatchObject({ event: 'skipped', figures: { rows: 3, of: 100, percent: 3 } });
  });

  it('tells of a run that is not over in time, whatever holds it up, once, and of its end', async () => {
    const prepared = await prepare();
    await add(prepared, { delayedAfterMinutes: 30, notify: 'only-on-failure' });
    const id = await start(prepared);
    await api.database.query(sql`UPDATE config.run SET created_at = now() - interval '31 minutes' WHERE id = ${id}`);
    await waitFor(() => told().length === 1);
    expect(hook.posts[0]!.message).toMatchObject({ event: 'delayed', figures: { minutes: 31, limitMinutes: 30 } });
    const looks = await lookTimes(3);
    await api.tell(id, prepared.importId, ended('succeeded'));
    await waitFor(() => told().length === 2);
    expect({ looks, told: told() }).toEqual({ looks: 3, told: ['delayed', 'recovered delayed'] });
  });

  it('is silent about dry runs', async () => {
    const prepared = await prepare();
    await add(prepared, { notify: 'every-run' });
    const id = await start(prepared, { dryRun: true });
    await api.tell(id, prepared.importId, { kind: 'goal-started' }, ended('failed'));
    await waitFor(async () => (await api.call('GET', `${w}/runs/${id}`)).body.state === 'failed');
    expect(await deliveries(`connectionId=${prepared.connectionId}`)).toEqual([]);
  });

  it('that is switched off is silent', async () => {
    const prepared = await prepare();
    await add(prepared, { active: false });
    await run(prepared, 'failed');
    expect(await deliveries(`connectionId=${prepared.connectionId}`)).toEqual([]);
  });
});

/** Resolves when runs and streams have been looked at so many times more. */
async function lookTimes(times: number): Promise<number> {
  for (let time = 0; time < times; time += 1) {
    const id = (await prepareDelayed()).id;
    await waitFor(async () => (await deliveries()).some(({ message }) => message.run?.id === id));
  }
  return times;
}

async function prepareDelayed(): Promise<{ readonly id: string }> {
  const prepared = await prepare();
  await api.call('POST', prepared.alerts, {
    name: 'Probe',
    events: ['delayed'],
    emails: ['probe@example.org'],
  });
  const id = await start(prepared);
  await api.database.query(sql`UPDATE config.run SET created_at = now() - interval '1 day' WHERE id = ${id}`);
  return { id };
}

describe('a webhook', () => {
  it('is signed, so that a receiver can tell who sent it and when', async () => {
    const prepared = await prepare();
    await add(prepared);
    const bytes = Buffer.from('0123456789abcdef0123456789abcdef', 'hex');
    const raw = await add(prepared, {
      name: 'With a key in base64',
      webhooks: [{ url: `${hook.url}/raw`, secret: `whsec_${bytes.toString('base64')}` }],
    });
    const before = Math.floor(Date.now() / 1000);
    await run(prepared, 'failed');
    await settled(prepared);
    expect(hook.posts).toHaveLength(2);
    for (const post of hook.posts) {
      const key = post.message.alert.id === raw.id ? bytes : Buffer.from(secret);
      expect(isSigned(post, key)).toBe(true);
      expect(isSigned({ ...post, body: post.body.replace('failed', 'passed') }, key)).toBe(false);
      expect(isSigned(post, Buffer.from('another secret of theirs'))).toBe(false);
      expect(post.headers['webhook-id']).toBe(post.message.id);
      expect(Number(post.headers['webhook-timestamp'])).toBeGreaterThanOrEqual(before);
      expect(post.headers['content-type']).toBe('application/json');
    }
  });

  it('that is not taken is sent again with the same id until it is', async () => {
    const prepared = await prepare();
    await add(prepared);
    hook.answer = () => (hook.posts.length < 4 ? 500 : 200);
    await run(prepared, 'failed');
    const [delivery, ...others] = await settled(prepared);
    expect(others).toEqual([]);
    expect(delivery).toMatchObject({ state: 'sent', attempts: 4, error: null });
    expect(new Set(hook.posts.map(({ message }) => message.id))).toEqual(new Set([delivery!.id]));
    expect(new Set(hook.posts.map(({ body }) => body)).size).toBe(1);
  });

  it('of a receiver that fails or hangs holds back nobody else, nor later alerts to somebody else', async () => {
    const prepared = await prepare();
    const hanging = await startWebhookReceiver();
    try {
      hanging.answer = () => 0;
      await add(prepared, {
        webhooks: [{ url: hanging.url, secret }, { url: 'http://127.0.0.1:9/nobody', secret }, webhook()],
        emails: ['ops@example.org'],
      });
      await run(prepared, 'failed');
      await run(prepared, 'failed');
      await waitFor(() => hook.posts.length === 2 && mail.mails.length === 2);
      const pending = await deliveries(`connectionId=${prepared.connectionId}&state=pending`);
      expect(new Set(pending.map(({ recipient }) => recipient))).toEqual(
        new Set([hanging.url, 'http://127.0.0.1:9/nobody']),
      );
      // One at a time to a receiver that does not answer.
      expect(hanging.posts).toHaveLength(1);
      await waitFor(async () =>
        (await deliveries(`connectionId=${prepared.connectionId}&state=pending`)).some(
          ({ recipient, error }) => recipient !== hanging.url && error?.code === 'webhook-unreachable',
        ),
      );
    } finally {
      await api.call('DELETE', `${prepared.alerts}/${(await api.call('GET', prepared.alerts)).body.items[0].id}`);
      await hanging.close();
    }
  });

  it('does not follow redirects', async () => {
    const prepared = await prepare();
    const { id } = await add(prepared);
    hook.answer = () => 302;
    const { body } = await api.call('POST', `${prepared.alerts}/${id}/test`);
    expect(body).toMatchObject({ ok: false, deliveries: [{ state: 'failed', error: { code: 'webhook-status' } }] });
    expect(body.deliveries[0].error.message).toContain('302');
    expect(hook.posts).toHaveLength(1);
  });
});

/** Unfolded and decoded (RFC 2047, Q). */
function subjectOf(source: string): string {
  const [, folded = ''] = /^Subject: ((?:.*\r\n[ \t])*.*)\r\n/m.exec(source) ?? [];
  return folded
    .replace(/\?=\r\n[ \t]=\?UTF-8\?Q\?/g, '')
    .replace(/^=\?UTF-8\?Q\?|\?=$/g, '')
    .replaceAll('_', ' ')
    .replace(/=([0-9A-F]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}

describe('a mail', () => {
  it('goes to each address by itself, names what happened, and no receiver learns of another', async () => {
    const prepared = await prepare();
    await add(prepared, { webhooks: [], emails: ['one@example.org', 'two@example.org'] });
    const id = await run(prepared, 'failed');
    const sent = await settled(prepared);
    expect(mail.mails.map(({ to }) => to).toSorted()).toEqual([['one@example.org'], ['two@example.org']]);
    for (const { to, from, source } of mail.mails) {
      expect(from).toBe('millrace@example.org');
      expect(subjectOf(source)).toMatch(/^\[Millrace acme\] failed: connection "Bucket \d+": a run has failed at goal/);
      expect(source).toContain(id);
      expect(source).not.toContain(to[0] === 'one@example.org' ? 'two@' : 'one@');
      const delivery = sent.find(({ recipient }) => recipient === to[0])!;
      expect(source).toContain(`Message-ID: <${delivery.id}@example.org>`);
    }
  });

  it('is sent again where the server refuses it for now, and given up where it does for good', async () => {
    const prepared = await prepare();
    await add(prepared, { webhooks: [], emails: ['greylisted@example.org', 'unknown@example.org'] });
    let refusals = 0;
    mail.refuse = (address) => {
      if (address.startsWith('unknown')) return 550;
      return (refusals += 1) < 3 ? 451 : undefined;
    };
    await run(prepared, 'failed');
    const all = await settled(prepared);
    const of = (address: string) => all.find(({ recipient }) => recipient === address);
    expect(of('greylisted@example.org')).toMatchObject({ state: 'sent', attempts: 3 });
    expect(of('unknown@example.org')).toMatchObject({
      state: 'failed',
      attempts: 1,
      error: { code: 'mail-refused', message: expect.stringContaining('550') },
    });
    mail.refuse = () => undefined;
    const { id } = of('unknown@example.org')!;
    expect((await api.call('POST', `${w}/alert-deliveries/${id}/send-again`)).body).toMatchObject({ state: 'pending' });
    await waitFor(() => mail.mails.length === 2);
    await settled(prepared);
    expect((await api.call('POST', `${w}/alert-deliveries/${id}/send-again`)).status).toBe(409);
  });

  it('cannot be given headers by a name', async () => {
    const prepared = await prepare();
    await add(prepared, {
      name: 'Evil\r\nBcc: victim@example.org',
      webhooks: [],
      emails: ['ops@example.org'],
    });
    await api.call('PATCH', `${w}/connections/${prepared.connectionId}`, { name: 'Two\r\nBcc: victim@example.org' });
    await run(prepared, 'failed');
    await settled(prepared);
    expect(mail.mails.map(({ to }) => to)).toEqual([['ops@example.org']]);
    const [headers = ''] = mail.mails[0]!.source.split('\r\n\r\n');
    expect(headers).not.toMatch(/^Bcc:/im);
  });
});

describe('trying an alert out', () => {
  it('says which receivers took the test, and sends no failed one later', async () => {
    const prepared = await prepare();
    const { id } = await add(prepared, { emails: ['ops@example.org'] });
    hook.answer = () => 503;
    const { status, body } = await api.call('POST', `${prepared.alerts}/${id}/test`);
    expect(status).toBe(200);
    expect(body.ok).toBe(false);
    const outcome = Object.fromEntries(
      body.deliveries.map(({ channel, state }: AlertDeliveryView) => [channel, state] as const),
    );
    expect(outcome).toEqual({ email: 'sent', webhook: 'failed' });
    expect(mail.mails[0]!.source).toContain('this is a test');
    hook.answer = () => 200;
    expect((await api.call('POST', `${prepared.alerts}/${id}/test`)).body.ok).toBe(true);
    expect(hook.posts).toHaveLength(2);
  });
});

describe('the rules of a connection', () => {
  it('hold their secrets sealed, and show none', async () => {
    const prepared = await prepare();
    const created = await add(prepared);
    expect(created).toMatchObject({
      notify: 'only-on-failure',
      delayedAfterMinutes: 150,
      rejectedPercent: 1,
      skippedPercent: 1,
      webhooks: [{ url: hook.url, hasSecret: true }],
    });
    const shown = [
      await api.call('GET', prepared.alerts),
      await api.call('GET', `${prepared.alerts}/${created.id}`),
      await api.call('PATCH', `${prepared.alerts}/${created.id}`, { name: 'Renamed' }),
    ];
    for (const { text } of shown) expect(text).not.toContain(secret);
    const { rows } = await api.database.query<{ document: string }>(
      sql`SELECT document::text FROM config.alert_rule WHERE id = ${created.id}`,
    );
    expect(rows[0]!.document).not.toContain(secret);
    expect(api.log()).not.toContain(secret);
    await run(prepared, 'failed');
    await settled(prepared);
    expect(isSigned(hook.posts[0]!, Buffer.from(secret))).toBe(true);
  });

  it('keep the secret of a URL that stays, and ask for that of a new one', async () => {
    const prepared = await prepare();
    const { id } = await add(prepared);
    const change = (webhooks: object[]) => api.call('PATCH', `${prepared.alerts}/${id}`, { webhooks });
    expect((await change([{ url: hook.url }, { url: 'https://example.org/x', secret }])).status).toBe(200);
    const refused = await change([{ url: 'https://example.org/new' }]);
    expect(refused.status).toBe(400);
    expect(refused.body).toMatchObject({ code: 'secret-missing', at: 'webhooks.0.secret' });
    await change([{ url: hook.url }]);
    await run(prepared, 'failed');
    await settled(prepared);
    expect(isSigned(hook.posts[0]!, Buffer.from(secret))).toBe(true);
  });

  it('must name a receiver, and go with their connection', async () => {
    const prepared = await prepare();
    expect((await api.call('POST', prepared.alerts, rule({ webhooks: [] }))).body).toMatchObject({
      code: 'alert-receivers',
      at: 'emails',
    });
    await add(prepared);
    expect((await api.call('POST', prepared.alerts, rule())).status).toBe(409);
    await api.call('DELETE', `${w}/connections/${prepared.connectionId}`);
    expect((await api.call('GET', prepared.alerts)).status).toBe(404);
    const { rowCount } = await api.database.query(
      sql`SELECT FROM config.alert_rule WHERE connection_id = ${prepared.connectionId}`,
    );
    expect(rowCount).toBe(0);
  });

  it('are changed by keys that may manage connections, and seen by those that may see them', async () => {
    const prepared = await prepare();
    const { id } = await add(prepared);
    const [reader, writer] = [await api.newKey(['config:read'], 'acme'), await api.newKey(['config:write'], 'acme')];
    expect((await api.call('GET', `${prepared.alerts}/${id}`, undefined, reader)).status).toBe(200);
    expect((await api.call('PATCH', `${prepared.alerts}/${id}`, { active: false }, reader)).status).toBe(403);
    expect((await api.call('PATCH', `${prepared.alerts}/${id}`, { active: false }, writer)).status).toBe(200);
    expect((await api.call('GET', `${w}/alert-deliveries`, undefined, writer)).status).toBe(403);
    await api.call('DELETE', `${prepared.alerts}/${id}`, undefined, writer);
    expect((await api.call('GET', `${prepared.alerts}/${id}`, undefined, reader)).status).toBe(404);
  });

  it('of another workspace are not reached through this one', async () => {
    const prepared = await prepare();
    const { id } = await add(prepared);
    await api.call('POST', '/workspaces', { name: 'other' });
    const elsewhere = `/workspaces/other/connections/${prepared.connectionId}/alerts`;
    expect((await api.call('GET', `${elsewhere}/${id}`)).status).toBe(404);
    expect((await api.call('POST', elsewhere, rule())).status).toBe(404);
    expect((await api.call('GET', '/workspaces/other/alert-deliveries')).body.items).toEqual([]);
  });
});
