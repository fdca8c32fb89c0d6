import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { waitFor } from '@millrace/testing';
import type { Identified } from './api.js';
import { Millrace } from './millrace.js';

interface Message {
  readonly id: string;
  readonly event: string;
  readonly recovered: boolean;
  readonly goal?: { readonly id: string };
}

interface Delivery {
  readonly id: string;
  readonly state: string;
  readonly attempts: number;
}

/** People are told when the services that would tell them are gone. */
describe('an alert', () => {
  const workspace = '/workspaces/alerts';
  const streamName = 'watched-changes';
  // Never late by slowness, and late at once.
  const [patient, impatient] = [86_400, 1] as const;
  const messages: Message[] = [];
  let holding = false;
  const held: ServerResponse[] = [];
  let receiver: Server;
  let millrace: Millrace;
  let goal: string;
  let connection: string;

  beforeAll(async () => {
    receiver = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        messages.push(JSON.parse(Buffer.concat(chunks).toString()) as Message);
        if (holding) held.push(response);
        else response.writeHead(204).end();
      });
    });
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    millrace = await Millrace.start('alerts', {
      MILLRACE_ALERT_HTTP: 'true',
      MILLRACE_ALERT_PRIVATE_ADDRESSES: 'true',
      MILLRACE_ALERT_WATCH_SECONDS: '0.5',
    });
    const { api, stack, stream } = millrace;
    await stream.ensureStream(streamName, 1);
    await api.post('/workspaces', { name: 'alerts' });
    await api.post(`${workspace}/properties`, { name: 'note' });
    const everyone = { name: 'Everyone', rule: { kind: 'all', rules: [] } };
    const segmentId = (await api.post<Identified>(`${workspace}/segments`, everyone)).id;
    connection = (
      await api.post<Identified>(`${workspace}/connections`, {
        kind: 'kinesis',
        name: 'Stream',
        endpoint: stack.urls.kinesis,
        credentials: { kind: 'access-key', ...stack.credentials },
      })
    ).id;
    await api.post(`${workspace}/connections/${connection}/alerts`, {
      name: 'Operators',
      webhooks: [
        {
          url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`,
          secret: 'a-secret-nobody-else-knows',
        },
      ],
    });
    const saved = await api.post<Identified>(`${workspace}/connections/${connection}/goals`, {
      kind: 'stream',
      name: 'Changes',
      streamName,
      segmentIds: [segmentId],
      properties: ['note'],
      maxLagSeconds: patient,
    });
    goal = saved.id;
    await waitFor(async () => (await look()).backfills.every(({ state }) => state === 'done'));
  });

  afterAll(async () => {
    await millrace?.stop();
    receiver.closeAllConnections();
    receiver.close();
  });

  const look = () =>
    millrace.api.get<{ readonly backfills: readonly { readonly state: string }[]; readonly lateSince?: string }>(
      `${workspace}/goals/${goal}/stream`,
    );

  let batches = 0;
  async function change(note: string): Promise<void> {
    await millrace.api.post(`${workspace}/ingestion/batches`, {
      batchId: `batch-${(batches += 1)}`,
      updates: [
        {
          identities: [{ namespace: 'email', value: 'ada@example.com' }],
          properties: [{ property: 'note', value: note }],
        },
      ],
    });
  }

  /** A change that no publisher takes up, and a limit it is soon older than. */
  async function leaveUnsent(note: string): Promise<void> {
    await millrace.services.kill('stream-publisher', 'SIGKILL');
    await change(note);
    await millrace.api.patch(`${workspace}/goals/${goal}`, { maxLagSeconds: impatient });
  }

  const told = (): readonly string[] =>
    messages.map(({ event, recovered }) => `${recovered ? 'recovered ' : ''}${event}`);

  it('tells that changes do not reach the stream while no publisher runs, and that they do again', async () => {
    await leaveUnsent('unheard');
    await waitFor(() => told().length > 0);
    expect(told()).toEqual(['delayed']);
    expect(messages[0]?.goal).toEqual({ id: goal, name: 'Changes' });
    await millrace.services.restart('stream-publisher');
    await waitFor(() => told().length > 1);
    expect(told()).toEqual(['delayed', 'recovered delayed']);
    expect((await look()).lateSince).toBeUndefined();
  });

  it('that was sent by a process killed before it could note that comes again with its id, and is noted once', async () => {
    messages.length = 0;
    holding = true;
    const { api, services } = millrace;
    await api.patch(`${workspace}/goals/${goal}`, { maxLagSeconds: patient });
    await leaveUnsent('unheard again');
    await waitFor(() => held.length > 0);
    await services.kill('config-api', 'SIGKILL');
    holding = false;
    for (const response of held) response.writeHead(204).end();
    await services.restart('config-api');
    await waitFor(() => messages.length > 1);
    const ids = new Set(messages.map(({ id }) => id));
    expect(ids.size).toBe(1);
    const deliveries = await waitFor(async () => {
      const path = `${workspace}/alert-deliveries?connectionId=${connection}`;
      const { items } = await api.get<{ readonly items: readonly Delivery[] }>(path);
      return items.every(({ state }) => state === 'sent') && items;
    });
    expect(deliveries.filter(({ id }) => ids.has(id))).toMatchObject([{ attempts: 2 }]);
    expect(deliveries).toHaveLength(3);
    await services.restart('stream-publisher');
    await waitFor(() => told().at(-1) === 'recovered delayed');
  });
});
