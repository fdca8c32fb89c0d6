import { derivePseudonymKey, openEndpoint } from '@millrace/crypto';
import type { Database } from '@millrace/database';
import { goalUnitPayload, InputError, type GoalEndpoint, type ImportCounts } from '@millrace/domain';
import {
  beginUnderLease,
  finishUnit,
  LeaseLostError,
  loadGoalSnapshot,
  writeRunEvent,
  type Unit,
  type UnitContext,
  type WakeUps,
} from '@millrace/job-queue';
import type { ObjectStore } from '@millrace/object-store';
import { loadCatalogue } from '@millrace/profile-store';
import type { ImportEvents } from '../import.events.js';
import { appliedChunks } from '../storage/chunks.js';
import { abandonFiles, runFiles } from '../storage/files.js';
import { dropTables } from '../storage/staging-tables.js';
import { addCounts, noCounts, unfinishedCounts } from './counts.js';
import { noteRejects } from './finish-file.js';
import { importFile } from './import-file.js';
import { goalInWorkspace, isImportSnapshot, outlineGoal, type ImportJob, type ImportSettings } from './import-job.js';
import { listRunFiles } from './list-files.js';
import { rehearseFiles } from './rehearse-files.js';
import { ProgressTeller } from './progress-teller.js';

export interface ImportServices {
  readonly database: Database;
  readonly wakeUps: WakeUps;
  readonly events: ImportEvents;
  readonly settings: ImportSettings;
  /** 32 bytes: what config-api sealed the secrets of goals for. */
  readonly sealingKey: Uint8Array;
  readonly openStore: (endpoint: GoalEndpoint) => ObjectStore;
}

/** The handler of `import-run`: one goal of one run. */
export class ImportRun {
  readonly #services: ImportServices;

  constructor(services: ImportServices) {
    this.#services = services;
  }

  /** Imports the files of the goal, one after the other, and ends the unit. @throws InputError, TransientError */
  async handle(unit: Unit, context: UnitContext): Promise<void> {
    const { database, wakeUps, events, settings, sealingKey, openStore } = this.#services;
    const snapshot = await loadGoalSnapshot(database, unit.snapshotId);
    if (!isImportSnapshot(snapshot)) throw new Error(`a goal of kind ${snapshot.goal.kind} came to the importer`);
    const { workspaceId, connectionId } = snapshot;
    const progress = new ProgressTeller({
      target: { runId: unit.runId, goalId: unit.goalId, unitId: unit.id },
      wakeUps,
    });
    await this.#tellStarted(unit, context);
    const endpoint = openEndpoint(snapshot.endpoint, sealingKey, { workspaceId, connectionId });
    const goal = goalInWorkspace(snapshot, await loadCatalogue(database, workspaceId));
    const outline = outlineGoal(goal);
    const store = openStore(endpoint);
    try {
      await this.#importFiles({
        ...goal,
        ...outline,
        unit,
        context,
        workspaceId,
        pgp: endpoint.pgp,
        pseudonymKey: derivePseudonymKey(sealingKey, workspaceId),
        store,
        database,
        wakeUps,
        events,
        settings,
        progress,
        dryRun: goalUnitPayload.parse(unit.payload).dryRun,
      });
    } finally {
      store.close();
    }
  }

  /** Before the worker closes a unit as failed or cancelled: nothing of it stays but what a later run can go on with. */
  async cleanUp(unit: Unit, { lease }: Pick<UnitContext, 'lease'>): Promise<void> {
    const { database } = this.#services;
    const { stages, plans } = await database.transaction(async (tx) => {
      await beginUnderLease(tx, lease);
      return abandonFiles(tx, unit);
    });
    for (const number of stages) await dropTables(database, 'stage', number);
    for (const number of plans) await dropTables(database, 'plan', number);
  }

  async #tellStarted(unit: Unit, context: UnitContext): Promise<void> {
    const { database, wakeUps } = this.#services;
    await database.transaction(async (tx) => {
      await beginUnderLease(tx, context.lease);
      await writeRunEvent(tx, { runId: unit.runId, goalId: unit.goalId, unitId: unit.id }, { kind: 'goal-started' });
    });
    await wakeUps.wake('run-event', { version: 1 });
  }

  async #importFiles(job: ImportJob): Promise<void> {
    const { database, unit, context, wakeUps } = job;
    let total: ImportCounts = noCounts;
    const files = await listRunFiles(job);
    if (job.dryRun) total = await rehearseFiles(job, files);
    for (const file of job.dryRun ? [] : files) {
      context.signal.throwIfAborted();
      try {
        total = addCounts(total, await importFile(job, file, total));
      } catch (error) {
        if (isFinal(error, context)) await this.#tellUnfinished(job, file.id, total);
        throw error;
      }
      context.noteCounts(total);
    }
    await database.transaction(async (tx) => {
      await beginUnderLease(tx, context.lease);
      await writeRunEvent(
        tx,
        { runId: unit.runId, goalId: unit.goalId, unitId: unit.id },
        { kind: 'goal-finished', outcome: 'succeeded', counts: total },
      );
      await finishUnit(tx, context.lease, unit, total);
    });
    await wakeUps.wake('run-event', { version: 1 });
  }

  // What a failing or cancelled file has come to: for the counts of the run, and so that rejects are explained.
  async #tellUnfinished(job: ImportJob, fileId: string, before: ImportCounts): Promise<void> {
    const { database, context, unit } = job;
    const file = (await runFiles(database, unit)).find(({ id }) => id === fileId);
    if (file === undefined) return;
    const chunks = await appliedChunks(database, file.id);
    context.noteCounts(
      addCounts(
        before,
        unfinishedCounts(
          file.counts,
          chunks.map(({ counts }) => counts),
        ),
      ),
    );
    await noteRejects(database, job, file);
  }
}

function isFinal(error: unknown, context: UnitContext): boolean {
  if (error instanceof LeaseLostError) return false;
  const reason = context.stopReason();
  return reason === 'cancelled' || (reason === undefined && (error instanceof InputError || context.lastAttempt));
}
