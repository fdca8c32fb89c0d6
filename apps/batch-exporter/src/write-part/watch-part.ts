import type { Database } from '@millrace/database';
import { writeRunEvent } from '@millrace/job-queue';
import { expectedRows, type ExportPlan } from '../plan-export/export-plan.js';
import type { Exporter } from '../run-export/exporter.js';
import type { ExportKey } from '../storage/exports.js';
import { copiedRows, recordProgress } from '../storage/parts.js';

const lookEveryMs = 1000;

export interface WatchedPart {
  readonly key: ExportKey;
  readonly plan: ExportPlan;
  /** Whose COPY it is: on the primary or a replica. */
  readonly reader: { readonly database: Database; readonly backendPid: number };
  /** Which file is being written, and how many rows of that COPY are in files before it. */
  readonly at: () => { readonly number: number; readonly uploadId: string; readonly rowsBefore: number };
}

/**
 * While a part is written: tells how far it is, and calls `stop` when its export is being abandoned or the part belongs
 * to another writer. Returns a function that ends the watch.
 */
export function watchPart(exporter: Exporter, part: WatchedPart, stop: () => void): () => Promise<void> {
  let told = 0;
  let timer: NodeJS.Timeout | undefined;
  let looking = Promise.resolve();
  let ended = false;

  const look = async (): Promise<void> => {
    const { database, backendPid } = part.reader;
    // A replica that does not answer leaves the progress unknown, not whether the export goes on.
    const copied = await copiedRows(database, backendPid).catch(() => 0);
    const { rowsBefore, ...file } = part.at();
    const progress = await recordProgress(exporter.database, part.key, { ...file, rows: copied - rowsBefore });
    if (ended) return;
    if (progress?.exportState !== 'parts') {
      stop();
      return;
    }
    if (progress.rows > told) {
      told = progress.rows;
      await writeRunEvent(exporter.database, part.key, {
        kind: 'goal-progress',
        progress: {
          phase: 'writing',
          done: progress.rows,
          total: Math.max(progress.rows, expectedRows(part.plan)),
          unit: 'rows',
        },
      });
      await exporter.wakeUps.wake('run-event', { version: 1 });
    }
  };
  const schedule = (): void => {
    timer = setTimeout(() => {
      // A look that fails says nothing about the part: the next one may succeed, and the lease decides in the end.
      looking = look()
        .catch(() => undefined)
        .then(() => {
          if (!ended) schedule();
        });
    }, lookEveryMs);
  };
  schedule();
  return async () => {
    ended = true;
    clearTimeout(timer);
    await looking;
  };
}
