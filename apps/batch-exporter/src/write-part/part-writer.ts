import { finished } from 'node:stream/promises';
import type { CopyOut } from '@millrace/database';
import { copyOptions } from '@millrace/delimited';
import { beginUnderLease, finishUnit, hastenUnit, type Unit, type UnitContext } from '@millrace/job-queue';
import type { Upload, WriteSummary } from '@millrace/object-store';
import { loadCatalogue } from '@millrace/profile-store';
import type { ExportPlan } from '../plan-export/export-plan.js';
import { partitionsOfFile, plannedFile, rowsOfFile } from '../plan-export/part-selection.js';
import type { Exporter, ExportWork } from '../run-export/exporter.js';
import { lockExport } from '../storage/exports.js';
import { type PartRow, recordStored, recordUpload } from '../storage/parts.js';
import { endOnAbort } from '../storage/end-on-abort.js';
import { tuneSelection } from '../storage/selection-settings.js';
import { copyStatement } from './copy-statement.js';
import { estimateBytes } from './estimate-bytes.js';
import { writePartBody } from './part-stream.js';
import { pgpOptions } from './pgp-options.js';
import { watchPart } from './watch-part.js';

/** The export is being abandoned, or another writer has the part: nothing more is to be done here. */
export class PartWithdrawn extends Error {}

interface StoredRows {
  readonly rows: number;
  readonly summary: WriteSummary;
}

/** Writes one part, once. */
export class PartWriter {
  readonly #exporter: Exporter;
  readonly #work: ExportWork;
  readonly #plan: ExportPlan;
  readonly #part: PartRow;
  readonly #unit: Unit;
  readonly #context: UnitContext;
  readonly #withdrawn = new AbortController();
  readonly #stopped: AbortSignal;

  constructor(exporter: Exporter, work: ExportWork, plan: ExportPlan, part: PartRow, unit: Unit, context: UnitContext) {
    this.#exporter = exporter;
    this.#work = work;
    this.#plan = plan;
    this.#part = part;
    this.#unit = unit;
    this.#context = context;
    this.#stopped = AbortSignal.any([context.signal, this.#withdrawn.signal]);
  }

  /** Ends with the part stored and its unit done; or throws, with its upload aborted or recorded for whoever comes next. */
  async write(): Promise<void> {
    const { store, goal } = this.#work;
    const startedAt = performance.now();
    const partitions = partitionsOfFile(plannedFile(this.#plan, this.#part.number));
    const expectedBytes = await estimateBytes(this.#exporter.database, goal, this.#plan, partitions);
    this.#context.signal.throwIfAborted();
    const upload = await store.startUpload(goal.target.bucket, this.#part.objectKey, {
      expectedBytes,
      contentType: contentType(this.#part.objectKey),
    });
    const { rows, summary } = await this.#store(upload);
    // From here on the upload stays: should the answer to the commit be lost, it is unknown whether it is needed.
    await this.#finish(upload, rows, summary);
    this.#exporter.events.partStored(this.#work.key, {
      number: this.#part.number,
      rows,
      bytes: summary.bytes,
      elapsedMs: performance.now() - startedAt,
    });
  }

  async #store(upload: Upload): Promise<StoredRows> {
    // Requests under way are not waited for: the last of them may be all that is left of this part.
    const abort = (): void => void upload.abort().catch(() => undefined);
    this.#stopped.addEventListener('abort', abort, { once: true });
    try {
      await this.#record(upload);
      const stored = await this.#stream(upload);
      this.#stopped.throwIfAborted();
      return stored;
    } catch (error) {
      // Only a courtesy: the upload is recorded, and whoever ends or repeats this part removes it.
      await upload.abort().catch(() => undefined);
      throw this.#withdrawn.signal.aborted ? new PartWithdrawn() : error;
    } finally {
      this.#stopped.removeEventListener('abort', abort);
    }
  }

  async #record({ uploadId }: Upload): Promise<void> {
    const { key } = this.#work;
    await this.#exporter.database.transaction(async (tx) => {
      await beginUnderLease(tx, this.#context.lease);
      if ((await lockExport(tx, key))?.state !== 'parts') this.#withdraw();
      await recordUpload(tx, key, { number: this.#part.number, uploadId, leaseToken: this.#context.lease.token });
    });
  }

  /** The transaction ends with the last row, not with the last byte sent: an idle one would be ended by the server. */
  async #stream(upload: Upload): Promise<StoredRows> {
    const { goal, endpoint, snapshot, key } = this.#work;
    const { database } = this.#exporter;
    const catalogue = await loadCatalogue(database, snapshot.workspaceId);
    const options = copyOptions(goal.csv);
    const rows = rowsOfFile(key, this.#plan, this.#part.number, goal, snapshot, catalogue);
    const statement = copyStatement(rows, options);
    const encoding = { goal, pgp: pgpOptions(goal, endpoint), copied: options !== undefined };
    const signal = this.#stopped;
    let written: Promise<WriteSummary> | undefined;
    let endWatch: (() => Promise<void>) | undefined;
    try {
      const copy = await database.transaction(async (tx): Promise<CopyOut> => {
        await beginUnderLease(tx, this.#context.lease);
        await tuneSelection(tx, this.#plan.access);
        return await endOnAbort(database, tx, signal, async (backendPid) => {
          const rowsOut = tx.copyOut(statement);
          written = writePartBody(rowsOut, encoding, upload, signal);
          written.catch((error: Error) => rowsOut.destroy(error));
          endWatch = watchPart(
            this.#exporter,
            { key, plan: this.#plan, number: this.#part.number, uploadId: upload.uploadId, backendPid },
            () => this.#withdrawn.abort(),
          );
          await finished(rowsOut, { writable: false });
          return rowsOut;
        });
      });
      if (written === undefined) throw new Error('a COPY ended that never began');
      return { summary: await written, rows: copy.rowCount };
    } finally {
      await endWatch?.();
    }
  }

  async #finish({ uploadId }: Upload, rows: number, { bytes, sha256, receipt }: WriteSummary): Promise<void> {
    const { key } = this.#work;
    const { parentId } = this.#unit;
    const open = await this.#exporter.database.transaction(async (tx) => {
      await beginUnderLease(tx, this.#context.lease);
      // Also makes the parts take turns, so that one of them is the last.
      if ((await lockExport(tx, key))?.state !== 'parts') this.#withdraw();
      const left = await recordStored(tx, key, { number: this.#part.number, uploadId, receipt, rows, bytes, sha256 });
      if (left === 0 && parentId !== undefined) await hastenUnit(tx, parentId);
      await finishUnit(tx, this.#context.lease, this.#unit, { rows, bytes });
      return left;
    });
    if (open === 0 && parentId !== undefined)
      await this.#exporter.wakeUps.wake('export-run', { version: 1, unitId: parentId });
  }

  #withdraw(): never {
    this.#withdrawn.abort();
    throw new PartWithdrawn();
  }
}

function contentType(objectKey: string): string {
  if (objectKey.endsWith('.pgp')) return 'application/pgp-encrypted';
  return objectKey.endsWith('.gz') ? 'application/gzip' : 'text/csv';
}
