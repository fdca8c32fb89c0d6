import { Agent, request } from 'node:http';

// A process of its own that sends batches of single-property updates at a steady rate, whatever the answers take, and tells its
// parent of each: [first change, updates, epoch milliseconds when the request began, milliseconds to the answer, outcome].

export interface LoadOrder {
  readonly url: string;
  readonly apiKey: string;
  readonly updatesPerSecond: number;
  readonly updatesPerBatch: number;
  readonly batches: number;
  /** Numbers of the people to change, in this order; of so many there are. */
  readonly firstPerson: number;
  readonly people: number;
  /** The first change's score; each further one is one higher. */
  readonly firstChange: number;
}

export type SentBatch = readonly [change: number, updates: number, atMs: number, answerMs: number, ok: boolean];

const agent = new Agent({ keepAlive: true, maxSockets: 32 });

async function load(order: LoadOrder): Promise<readonly SentBatch[]> {
  const everyMs = (order.updatesPerBatch * 1000) / order.updatesPerSecond;
  const startedAt = performance.now();
  const sent: Promise<SentBatch>[] = [];
  for (let batch = 0; batch < order.batches; batch += 1) {
    const restMs = startedAt + batch * everyMs - performance.now();
    if (restMs > 1) await new Promise((resolve) => setTimeout(resolve, restMs));
    sent.push(send(order, batch));
  }
  return Promise.all(sent);
}

async function send(order: LoadOrder, batch: number): Promise<SentBatch> {
  const first = batch * order.updatesPerBatch;
  const updates = Array.from({ length: order.updatesPerBatch }, (_, index) => ({
    identities: [
      { namespace: 'email', value: `person${(order.firstPerson + first + index) % order.people}@example.com` },
    ],
    properties: [{ property: 'score', value: order.firstChange + first + index, rule: 'set' }],
  }));
  const body = Buffer.from(JSON.stringify({ batchId: crypto.randomUUID(), allowCreation: false, updates }));
  const atMs = performance.timeOrigin + performance.now();
  const { status, text } = await post(order, body);
  const answerMs = performance.timeOrigin + performance.now() - atMs;
  const ok = status === 200 && !/"outcome":"(?:rejected|ambiguous|skipped)"/.test(text);
  if (!ok) process.stderr.write(`a batch was answered with ${status}: ${text.slice(0, 300)}\n`);
  return [order.firstChange + first, order.updatesPerBatch, atMs, answerMs, ok];
}

function post(order: LoadOrder, body: Buffer): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const sending = request(
      order.url,
      {
        agent,
        method: 'POST',
        headers: {
          authorization: `Bearer ${order.apiKey}`,
          'content-type': 'application/json',
          'content-length': body.length,
        },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
        response.on('error', reject);
      },
    );
    sending.on('error', reject);
    sending.end(body);
  });
}

process.on('message', (order: LoadOrder) => {
  void load(order).then((sent) => process.send?.(sent));
});
process.on('disconnect', () => process.exit());
