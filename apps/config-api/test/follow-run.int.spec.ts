import type { RunEventBody } from '@millrace/domain';
import type { RunView } from '../src/run-connection/run-views.js';
import { importGoal, s3Connection, startApi, w, type Api } from './api-fixture.js';

let api: Api;
let connectionId: string;
let goalId: string;
beforeAll(async () => {
  api = await startApi('follow');
  connectionId = (await api.call('POST', `${w}/connections`, s3Connection())).body.id;
  goalId = (await api.call('POST', `${w}/connections/${connectionId}/goals`, importGoal())).body.id;
});
afterAll(() => api.close());

interface Sent {
  readonly id: number;
  readonly run: RunView;
}

/** Reads server-sent events as they come; resolves at the end of the stream. */
class Follower {
  readonly events: Sent[] = [];
  readonly response: Response;
  readonly ended: Promise<void>;
  #wake: () => void = () => undefined;

  constructor(response: Response) {
    this.response = response;
    this.ended = this.#read();
  }

  static async open(url: string, runId: string, lastEventId?: number, signal?: AbortSignal): Promise<Follower> {
    const headers = {
      authorization: `Bearer ${api.platformKey}`,
      ...(lastEventId === undefined ? {} : { 'last-event-id': String(lastEventId) }),
    };
    return new Follower(
      await fetch(`${url}/api/v1${w}/runs/${runId}/events`, { headers, ...(signal === undefined ? {} : { signal }) }),
    );
  }

  async next(condition: (run: RunView) => boolean): Promise<Sent> {
    for (;;) {
      const found = this.events.find(({ run }) => condition(run));
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async #read(): Promise<void> {
    let text = '';
    const decoder = new TextDecoder();
    for await (const chunk of (this.response.body ?? []) as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true });
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const lines = text.slice(0, end).split('\n');
        text = text.slice(end + 2);
        const field = (name: string): string | undefined =>
          lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
        if (field('event') !== 'run') continue;
        this.events.push({ id: Number(field('id')), run: JSON.parse(field('data')!) as RunView });
        this.#wake();
      }
    }
  }
}

const start = async (): Promise<RunView> => (await api.call('POST', `${w}/connections/${connectionId}/runs`)).body;
const tell = (runId: string, body: RunEventBody): Promise<void> => api.tell(runId, goalId, body);
const progress = (done: number): RunEventBody => ({
  kind: 'goal-progress',
  progress: { phase: 'read', done, unit: 'rows' },
  counts: { rowsRead: done },
});
const finished: RunEventBody = { kind: 'goal-finished', outcome: 'succeeded', counts: { rowsRead: 7 } };

it('sends the run at once, every change after it, and ends with the run', async () => {
  const { id } = await start();
  const follower = await Follower.open(api.url, id);
  expect(follower.response.headers.get('content-type')).toContain('text/event-stream');
  expect((await follower.next(() => true)).run.state).toBe('queued');
  await tell(id, progress(3));
  await follower.next(({ goals }) => goals[0]!.counts['rowsRead'] === 3);
  await tell(id, finished);
  await follower.ended;
  const sent = follower.events.map((event) => event.id);
  expect(sent).toEqual([...sent].sort((left, right) => left - right));
  expect(new Set(sent).size).toBe(sent.length);
  expect(follower.events.at(-1)?.run).toMatchObject({ state: 'succeeded', goals: [{ counts: { rowsRead: 7 } }] });
});

it('goes on from the last event a client saw', async () => {
  const { id } = await start();
  const cut = new AbortController();
  const first = await Follower.open(api.url, id, undefined, cut.signal);
  const seen = await first.next(() => true);
  cut.abort();
  await first.ended.catch(() => undefined);
  await tell(id, progress(5));
  const second = await Follower.open(api.url, id, seen.id);
  await second.next(({ goals }) => goals[0]!.counts['rowsRead'] === 5);
  expect(Math.min(...second.events.map((event) => event.id))).toBeGreaterThan(seen.id);
  await tell(id, finished);
  await second.ended;
  const last = second.events.at(-1)!;
  const nothingNew = await Follower.open(api.url, id, last.id);
  expect(nothingNew.response.status).toBe(204);
  const fromTheStart = await Follower.open(api.url, id);
  await fromTheStart.ended;
  expect(fromTheStart.events.map((event) => event.id)).toEqual([last.id]);
});

it('shows what another instance did', async () => {
  const other = await api.startAnother();
  const { id } = await start();
  const followers = await Promise.all([Follower.open(api.url, id), Follower.open(other.url, id)]);
  await tell(id, progress(2));
  await tell(id, finished);
  for (const follower of followers) {
    await follower.ended;
    expect(follower.events.at(-1)?.run.state).toBe('succeeded');
  }
  await other.stop();
});

it('lets go of its followers when the service stops', async () => {
  const other = await api.startAnother();
  const { id } = await start();
  const follower = await Follower.open(other.url, id);
  await follower.next(() => true);
  await other.stop();
  await follower.ended;
  await tell(id, finished);
  await (
    await Follower.open(api.url, id)
  ).ended;
});

it('answers 404 for a run of another workspace', async () => {
  const { id } = await start();
  await api.call('POST', '/workspaces', { name: 'elsewhere' });
  expect((await api.call('GET', `/workspaces/elsewhere/runs/${id}/events`)).status).toBe(404);
});
