import { InputError, TransientError } from '@millrace/domain';
import { problem } from '@millrace/service-kit';

export interface ServiceCall {
  readonly method: 'GET' | 'POST';
  /** Below the service's URL, without leading slash. */
  readonly path: string;
  readonly body?: string;
  readonly contentType?: string;
  readonly timeoutMs?: number;
}

/** Another service's HTTP endpoint, which answers nobody but the services that share its token. */
export type AskService = (call: ServiceCall) => Promise<Response>;

/**
 * What a person must change comes back as the same InputError; that the service is busy as its own TransientError; everything
 * else as what `unavailable` makes of it.
 */
export function askService(url: string, token: string, unavailable: (cause: unknown) => TransientError): AskService {
  return async ({ method, path, body, contentType, timeoutMs = 10_000 }) => {
    let response: Response;
    try {
      response = await fetch(new URL(path, url.endsWith('/') ? url : `${url}/`), {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(contentType === undefined ? {} : { 'content-type': contentType }),
        },
        ...(body === undefined ? {} : { body }),
        signal: AbortSignal.timeout(timeoutMs),
      });
    } catch (error) {
      throw unavailable(error);
    }
    if (response.ok) return response;
    const told = problem.safeParse(await response.json().catch(() => undefined));
    if (told.success && response.status < 500 && response.status !== 401) {
      const { code, detail, at } = told.data;
      throw new InputError(code, detail, at === undefined ? {} : { at });
    }
    if (told.success && response.status === 503) throw new TransientError(told.data.code, told.data.detail);
    throw unavailable(new Error(`the service answered ${response.status}`));
  };
}
