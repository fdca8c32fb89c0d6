import { z } from 'zod';
import { unavailable, type AskImporter } from '../ask-importer/ask-importer.js';

/** A row, or one field of a row that was imported without it, and why. */
export const reject = z
  .object({
    id: z.string().describe('Place in the list'),
    name: z.string().describe('The object that held the row'),
    line: z.int().describe('Physical line of its first character, from 1'),
    scope: z
      .enum(['row', 'field', 'ambiguous', 'unmatched'])
      .describe(
        '`field`: the row was imported without this field; `ambiguous`: it matches several profiles, named in the message; `unmatched`: it matches none, and none may be created',
      ),
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
  /** Only rows of this goal. */
  readonly goal?: string | undefined;
  readonly limit: number;
  readonly after?: string | undefined;
  readonly raw: boolean;
}

/** Where the rejected rows of imports are listed. */
export interface RejectSource {
  /** @throws TransientError `importer-unavailable`. */
  list(runId: string, query: RejectQuery): Promise<RejectPage>;
}

/** Asks the importer, which owns the rejected rows. */
export function importerRejects(ask: AskImporter): RejectSource {
  return {
    async list(runId, { goal, limit, after, raw }) {
      const query = new URLSearchParams({ limit: String(limit), raw: String(raw) });
      if (goal !== undefined) query.set('goal', goal);
      if (after !== undefined) query.set('after', after);
      const response = await ask({ method: 'GET', path: `rejects/${runId}?${query.toString()}` });
      const page = answer.safeParse(await response.json().catch(() => undefined));
      if (!page.success) throw unavailable(page.error);
      return page.data;
    },
  };
}
