import { TransientError } from '@millrace/domain';
import { askService, type AskService } from '../ask-service/ask-service.js';

/** The importer, which alone reads files and keeps their rows. */
export type AskImporter = AskService;

/** What does not come from a person's mistake is TransientError `importer-unavailable`. */
export function askImporter(url: string, token: string): AskImporter {
  return askService(url, token, unavailable);
}

export function unavailable(cause: unknown): TransientError {
  return new TransientError('importer-unavailable', 'the importer, which reads the files, does not answer: try again', {
    cause,
  });
}
