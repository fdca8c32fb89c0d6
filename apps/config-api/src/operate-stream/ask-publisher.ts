import { TransientError } from '@millrace/domain';
import type { z } from 'zod';
import { askService } from '../ask-service/ask-service.js';

/** Asks stream-publisher, which alone knows what its goals owe and did. `path` below its URL. */
export type AskPublisher = <T>(path: string, answer: z.ZodType<T>) => Promise<T>;

/** What does not come from a person's mistake is TransientError `publisher-unavailable`. */
export function askPublisher(url: string, token: string): AskPublisher {
  const ask = askService(url, token, unavailable);
  return async (path, answer) => {
    const response = await ask({ method: 'GET', path });
    const checked = answer.safeParse(await response.json().catch(() => undefined));
    if (!checked.success) throw unavailable(checked.error);
    return checked.data;
  };
}

function unavailable(cause: unknown): TransientError {
  return new TransientError(
    'publisher-unavailable',
    'the stream-publisher, which knows what streams do, does not answer: try again',
    { cause },
  );
}
