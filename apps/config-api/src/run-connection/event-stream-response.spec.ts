import { PassThrough } from 'node:stream';
import type { Response } from 'express';
import { RunEventStream } from './event-stream-response.js';
import type { RunView } from './run-views.js';

/** What RunEventStream needs of a response: a stream that takes little at once. */
function slowResponse(): { readonly stream: PassThrough; readonly response: Response } {
  const stream = new PassThrough({ highWaterMark: 64 });
  const response = Object.assign(stream, {
    status: () => response,
    set: () => response,
    flushHeaders: () => undefined,
  });
  return { stream, response: response as unknown as Response };
}
const run = (revision: number): RunView =>
  ({ revision, goals: [], connectionName: 'x'.repeat(200) }) as unknown as RunView;
const idsIn = (text: string): number[] => [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));

async function read(stream: PassThrough): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}

it('gives a slow reader the newest state instead of a backlog', async () => {
  const { stream, response } = slowResponse();
  const events = new RunEventStream(response);
  for (let revision = 1; revision <= 100; revision += 1) events.send(run(revision));
  events.end();
  expect(idsIn(await read(stream))).toEqual([1, 100]);
});

it('sends comments while nothing happens', async () => {
  const { stream, response } = slowResponse();
  const events = new RunEventStream(response, { heartbeatMs: 1 });
  let text = '';
  for await (const chunk of stream) {
    text += String(chunk);
    if (text.split(': heartbeat\n\n').length > 2) events.end();
  }
  expect(text).toMatch(/^retry: 2000\n\n(: heartbeat\n\n){2,}$/);
});
