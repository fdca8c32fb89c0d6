import { InputError, TransientError } from '@millrace/domain';
import { problem } from '@millrace/service-kit';

export interface ImporterCall {
  readonly method: 'GET' | 'POST';
  /** Below the importer's URL, without leading slash. */
  readonly path: string;
  readonly body?: string;
  readonly contentType?: string;
  readonly timeoutMs?: number;
}

/** The importer's HTTP endpoint, which answers nobody but the services that share its token. */
export type AskImporter = (call: ImporterCall) => Promise<Response>;

/**
 * Asks the importer, which alone reads files and keeps their rows. What a person must change comes back as the same
 * InputError; everything else as TransientError `importer-unavailable`.
 */
export function askImporter(url: string, token: string): AskImporter {
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
    throw unavailable(new Error(`the importer answered ${response.status}`));
  };
}

export function unavailable(cause: unknown): TransientError {
  return new TransientError('importer-unavailable', 'the importer, which reads the files, does not answer: try again', {
    cause,
  });
}
