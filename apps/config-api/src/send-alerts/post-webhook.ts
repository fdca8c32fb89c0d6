import { InputError, TransientError } from '@millrace/domain';
import { lookup as resolveName } from 'node:dns';
import { request as requestHttp, type RequestOptions } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { isPublicAddress } from './public-address.js';

/** What the operator allows beside https to public addresses. */
export interface WebhookPolicy {
  readonly http: boolean;
  readonly privateAddresses: boolean;
}

/**
 * Whether a webhook may go there, as far as its URL tells; names are looked up when it is sent.
 * @throws InputError `webhook-refused`
 */
export function checkWebhookUrl(text: string, policy: WebhookPolicy, at?: string): void {
  const url = new URL(text);
  const refuse = (why: string): never => {
    throw new InputError('webhook-refused', why, at === undefined ? {} : { at });
  };
  if (url.username !== '' || url.password !== '')
    refuse('a webhook URL must hold no user name or password: they would stand in lists and messages');
  if (url.protocol === 'http:' && !policy.http)
    refuse('webhooks go by https: give an https URL, or set MILLRACE_ALERT_HTTP=true');
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0 && !policy.privateAddresses && !isPublicAddress(host)) refuse(privateAddress);
}

const privateAddress =
  'webhooks go to public addresses: give one, or set MILLRACE_ALERT_PRIVATE_ADDRESSES=true for receivers in your own network';

export interface WebhookPost {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly policy: WebhookPolicy;
  readonly signal: AbortSignal;
}

/**
 * Posts JSON and resolves when the receiver has answered 2xx. The address that was looked up is the one connected to, so no name
 * can turn into a private address in between; redirects are not followed; nothing of the answer is kept but its status.
 * @throws InputError `webhook-refused`; TransientError `webhook-status`, `webhook-unreachable`
 */
export async function postWebhook({ url, headers, body, policy, signal }: WebhookPost): Promise<void> {
  checkWebhookUrl(url, policy);
  const target = new URL(url);
  const options: RequestOptions = {
    method: 'POST',
    headers: {
      ...headers,
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
      'user-agent': 'millrace-alerts',
    },
    agent: false,
    signal,
    ...(policy.privateAddresses ? {} : { lookup: publicLookup }),
  };
  const status = await new Promise<number>((resolve, reject) => {
    const request = (target.protocol === 'http:' ? requestHttp : requestHttps)(target, options, (response) => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    });
    request.on('error', (error) => reject(unreachable(error)));
    request.end(body);
  });
  if (status >= 200 && status < 300) return;
  const redirects = status >= 300 && status < 400 ? ': redirects are not followed, give the URL it points to' : '';
  throw new TransientError('webhook-status', `the receiver answered ${status}${redirects}`);
}

function unreachable(error: Error & { readonly code?: string }): Error {
  if (error instanceof InputError) return error;
  if (error.name === 'AbortError' || error.name === 'TimeoutError')
    return new TransientError('webhook-unreachable', 'the receiver has not answered in time', { cause: error });
  // The code alone: messages of TLS errors quote what the other side said.
  return new TransientError('webhook-unreachable', `the receiver cannot be reached (${error.code ?? error.name})`, {
    cause: error,
  });
}

const publicLookup: LookupFunction = (hostname, options, callback) => {
  resolveName(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return callback(error, '');
    const allowed = addresses.filter(({ address }) => isPublicAddress(address));
    const [first] = allowed;
    if (first === undefined) return callback(new InputError('webhook-refused', privateAddress), '');
    return options.all === true ? callback(null, allowed) : callback(null, first.address, first.family);
  });
};
