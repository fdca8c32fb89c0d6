import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { AlertMessage } from '@millrace/domain';
import { SMTPServer } from 'smtp-server';

export interface Posted {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly message: AlertMessage;
}

export interface WebhookReceiver {
  readonly url: string;
  readonly posts: Posted[];
  /** What it answers to a post; a status of 0 is no answer at all. May be changed at any time. */
  answer: (post: Posted) => number | Promise<number>;
  close(): Promise<void>;
}

/** An HTTP server on this machine that notes what is posted to it. */
export async function startWebhookReceiver(): Promise<WebhookReceiver> {
  const posts: Posted[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      const post = { headers: request.headers, body, message: JSON.parse(body) as AlertMessage };
      posts.push(post);
      void Promise.resolve(receiver.answer(post)).then((status) => {
        if (status === 0) return;
        const redirect = status >= 300 && status < 400 ? { location: 'http://127.0.0.1:9/elsewhere' } : {};
        response.writeHead(status, redirect).end('a body nobody reads');
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const receiver: WebhookReceiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/alerts`,
    posts,
    answer: () => 204,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return receiver;
}

/** The signature as a receiver checks it, written from the specification and not from the sender's code. */
export function isSigned({ headers, body }: Posted, key: Buffer): boolean {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': given } = headers;
  const [version, code = ''] = String(given).split(',');
  const hmac = createHmac('sha256', key);
  hmac.update(Buffer.from(`${String(id)}.${String(timestamp)}.`, 'ascii'));
  hmac.update(Buffer.from(body, 'utf8'));
  const expected = hmac.digest();
  const actual = Buffer.from(code, 'base64');
  return version === 'v1' && actual.length === expected.length && timingSafeEqual(actual, expected);
}

export interface ReceivedMail {
  readonly to: readonly string[];
  readonly from: string;
  readonly source: string;
}

export interface MailReceiver {
  readonly url: string;
  readonly mails: ReceivedMail[];
  /** Judges an address when it is named: an SMTP code to refuse it with. */
  refuse: (address: string) => number | undefined;
  close(): Promise<void>;
}

/** An SMTP server on this machine that keeps what it is sent. */
export async function startMailReceiver(): Promise<MailReceiver> {
  const mails: ReceivedMail[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    onRcptTo: ({ address }, _session, done) => {
      const responseCode = receiver.refuse(address);
      done(responseCode === undefined ? null : Object.assign(new Error('refused'), { responseCode }));
    },
    onData: (stream, { envelope }, done) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        mails.push({
          to: envelope.rcptTo.map(({ address }) => address),
          from: envelope.mailFrom === false ? '' : envelope.mailFrom.address,
          source: Buffer.concat(chunks).toString(),
        });
        done();
      });
    },
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const receiver: MailReceiver = {
    url: `smtp://127.0.0.1:${(server.server.address() as AddressInfo).port}`,
    mails,
    refuse: () => undefined,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
  return receiver;
}
