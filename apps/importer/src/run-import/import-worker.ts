import type { Database } from '@millrace/database';
import { UnitWorker, type Log } from '@millrace/job-queue';
import { defaultRetention, removeExpiredImports, type ImportRetention } from '../storage/retention.js';
import { sweepTables } from '../storage/staging-tables.js';
import { ImportRun, type ImportServices } from './import-run.js';

export interface ImportWorkerOptions extends ImportServices {
  /** For claims and heartbeats; a pool of its own. */
  readonly leaseDatabase: Database;
  readonly owner: string;
  /** Imports at once in this process. */
  readonly runs: number;
  readonly leaseTtlMs: number;
  readonly log: Log;
  readonly sweepMs?: number;
  readonly tableSweepMs?: number;
  readonly retention?: ImportRetention;
}

const tenMinutesMs = 600_000;

/** Takes units of `import-run`, and clears away the tables that interrupted imports left and what is kept no longer. */
export class ImportWorker {
  readonly #options: ImportWorkerOptions;
  readonly #units: UnitWorker;
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> | undefined;

  constructor(options: ImportWorkerOptions) {
    const run = new ImportRun(options);
    this.#options = options;
    this.#units = new UnitWorker({
      database: options.leaseDatabase,
      wakeUps: options.wakeUps,
      queues: ['import-run'],
      handler: (unit, context) => run.handle(unit, context),
      cleanUp: (unit, context) => run.cleanUp(unit, context),
      concurrency: options.runs,
      owner: options.owner,
      leaseTtlMs: options.leaseTtlMs,
      ...(options.sweepMs === undefined ? {} : { sweepMs: options.sweepMs }),
      log: options.log,
    });
  }

  start(): void {
    this.#units.start();
    const sweep = (): void => {
      this.#sweeping = this.#sweep();
    };
    sweep();
    this.#timer = setInterval(sweep, this.#options.tableSweepMs ?? tenMinutesMs);
  }

  /** Hands its units back and ends. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#units.stop();
    await this.#sweeping;
  }

  async #sweep(): Promise<void> {
    const { database, events, retention = defaultRetention } = this.#options;
    try {
      events.tablesSwept(await sweepTables(database, retention.planDays));
      events.expiredRemoved(await removeExpiredImports(database, retention));
    } catch (error) {
      events.sweepFailed(error);
    }
  }
}
