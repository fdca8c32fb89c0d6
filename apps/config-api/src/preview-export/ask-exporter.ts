import {
  exportPreview,
  type ExportPreview,
  exportPreviewOrder,
  type ExportPreviewOrder,
  TransientError,
} from '@millrace/domain';
import { askService } from '../ask-service/ask-service.js';

/** Longer than the exporter takes to give up. */
const patienceMs = 60_000;

/** Asks the exporter, which alone knows what was delivered before, what a goal would export now. */
export type AskExporter = (order: ExportPreviewOrder) => Promise<ExportPreview>;

/** What does not come from a person's mistake is TransientError `exporter-unavailable`. */
export function askExporter(url: string, token: string): AskExporter {
  const ask = askService(url, token, unavailable);
  return async (order) => {
    const response = await ask({
      method: 'POST',
      path: 'previews',
      contentType: 'application/json',
      body: JSON.stringify(exportPreviewOrder.parse(order)),
      timeoutMs: patienceMs,
    });
    const answer = exportPreview.safeParse(await response.json().catch(() => undefined));
    if (!answer.success) throw unavailable(answer.error);
    return answer.data;
  };
}

function unavailable(cause: unknown): TransientError {
  return new TransientError(
    'exporter-unavailable',
    'the exporter, which knows what was delivered before, does not answer: try again',
    { cause },
  );
}
