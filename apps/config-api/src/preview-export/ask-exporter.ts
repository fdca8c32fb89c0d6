import {
  explanation,
  type Explanation,
  explanationOrder,
  type ExplanationOrder,
  exportPreview,
  type ExportPreview,
  exportPreviewOrder,
  type ExportPreviewOrder,
  TransientError,
} from '@millrace/domain';
import type { z } from 'zod';
import { askService } from '../ask-service/ask-service.js';

/** Longer than the exporter takes to give up. */
const patienceMs = 60_000;

/**
 * Asks the exporter, which alone knows what was delivered before. What does not come from a person's mistake is
 * TransientError `exporter-unavailable`.
 */
export interface AskExporter {
  /** What a goal would export now. */
  preview(order: ExportPreviewOrder): Promise<ExportPreview>;
  /** Why one profile would be in that or not. */
  explain(order: ExplanationOrder): Promise<Explanation>;
}

export function askExporter(url: string, token: string): AskExporter {
  const ask = askService(url, token, unavailable);
  const post = async <Answer>(path: string, order: object, schema: z.ZodType<Answer>): Promise<Answer> => {
    const response = await ask({
      method: 'POST',
      path,
      contentType: 'application/json',
      body: JSON.stringify(order),
      timeoutMs: patienceMs,
    });
    const answer = schema.safeParse(await response.json().catch(() => undefined));
    if (!answer.success) throw unavailable(answer.error);
    return answer.data;
  };
  return {
    preview: async (order) => await post('previews', exportPreviewOrder.parse(order), exportPreview),
    explain: async (order) => await post('previews/explanation', explanationOrder.parse(order), explanation),
  };
}

function unavailable(cause: unknown): TransientError {
  return new TransientError(
    'exporter-unavailable',
    'the exporter, which knows what was delivered before, does not answer: try again',
    { cause },
  );
}
