import { InputError, TransientError } from '@millrace/domain';
import { z } from 'zod';

/** A row, or one field of a row that was imported without it, and why. */
export const reject = z
  .object({
    id: z.string().describe('Place in the list'),
    name: z.string().describe('The object that held the row'),
    line: z.int().describe('Physical line of its first character, from 1'),
    scope: z.enum(['row', 'field']).describe('`field`: the row was imported without this field'),
    column: z.string().optional(),
    code: z.string(),
    message: z.string(),
    raw: z.string().optional().describe('The row as it stood in the file, if asked for'),
  })
  .meta({ id: 'Reject' });
export type Reject = z.infer<typeof reject>;

const answer = z.object({ items: z.array(reject), next: z.string().optional() });
export type RejectPage = z.infer<typeof answer>;

export interface RejectQuery {
  readonly limit: number;
  readonly after?: string | undefined;
  readonly raw: boolean;
}

/** Where the rejected rows of imports are listed. */
export interface RejectSource {
  /** @throws TransientError `importer-unavailable`. */
  list(runId: string, query: RejectQuery): Promise<RejectPage>;
}

/** Asks the importer, which owns the rejected rows, over HTTP. `token` is the one the services share. */
export function importerRejects(url: string, token: string): RejectSource {
  return {
    async list(runId, { limit, after, raw }) {
      const target = new URL(`rejects/${runId}`, url.endsWith('/') ? url : `${url}/`);
      target.searchParams.set('limit', String(limit));
      target.searchParams.set('raw', String(raw));
      if (after !== undefined) target.searchParams.set('after', after);
      const response = await ask(target, token);
      if (response.status === 400)
        throw new InputError('bad-page', 'this page of rejects cannot be read: begin again without `after`', {
          at: 'after',
        });
      if (!response.ok) throw unavailable(new Error(`the importer answered ${response.status}`));
      const page = answer.safeParse(await response.json().catch(unavailableThrow));
      if (!page.success) throw unavailable(page.error);
      return page.data;
    },
  };
}

async function ask(target: URL, token: string): Promise<Response> {
  try {
    return await fetch(target, { headers: { authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(10_000) });
  } catch (error) {
    throw unavailable(error);
  }
}

function unavailableThrow(error: unknown): never {
  throw unavailable(error);
}

function unavailable(cause: unknown): TransientError {
  return new TransientError(
    'importer-unavailable',
    'the importer, which keeps the rejected rows, does not answer: try again',
    { cause },
  );
}
