import { finished } from 'node:stream/promises';
import { InputError } from '@millrace/domain';
import { beginUnderLease, finishUnit, hastenUnit, type Unit, type UnitContext } from '@millrace/job-queue';
import type { Upload } from '@millrace/object-store';
import { loadCatalogue } from '@millrace/profile-store';
import type { ExportPlan } from '../plan-export/export-plan.js';
import { furtherFile } from '../plan-export/file-names.js';
import { firstExisting } from '../plan-export/name-files.js';
import { maxFiles } from '../plan-export/plan-export.js';
import { endpointName, type Exporter, type ExportWork } from '../run-export/exporter.js';
import { endOnAbort } from '../storage/end-on-abort.js';
import { lockExport, reserveFurtherKey } from '../storage/exports.js';
import { insertFurtherPart, type PartRow, type PartTallies, recordStored, recordUpload } from '../storage/parts.js';
import { tuneSelection } from '../storage/selection-settings.js';
import { chooseReader, type Reader } from './choose-reader.js';
import { estimateBytes } from './estimate-bytes.js';
import { partSource, type PartSource } from './part-source.js';
import { writeFiles, type WrittenFile } from './part-stream.js';
import { pgpOptions } from './pgp-options.js';
import { type WatchedPart, watchPart } from './watch-part.js';
import { noTallies } from './write-rows.js';

/** The export is being abandoned, or another writer has the part: nothing more is to be done here. */
export class PartWithdrawn extends Error {}

interface OpenFile {
  readonly number: number;
  /** From 1 among the files of this part's unit. */
  readonly file: number;
  readonly objectKey: string;
  readonly upload: Upload;
  readonly startedAt: number;
}

/** Writes one part, once: one file, or as many as its rows are cut into. */
export class PartWriter {
  readonly #exporter: Exporter;
  readonly #work: ExportWork;
  readonly #plan: ExportPlan;
  readonly #part: PartRow;
  readonly #unit: Unit;
  readonly #context: UnitContext;
  readonly #withdrawn = new AbortController();
  readonly #stopped: AbortSignal;
  #open: OpenFile | undefined;
  #rowsBefore = 0;
  #bytesBefore = 0;

  constructor(exporter: Exporter, work: ExportWork, plan: ExportPlan, part: PartRow, unit: Unit, context: UnitContext) {
    this.#exporter = exporter;
    this.#work = work;
    this.#plan = plan;
    this.#part = part;
    this.#unit = unit;
    this.#context = context;
    this.#stopped = AbortSignal.any([context.signal, this.#withdrawn.signal]);
  }

  /** Ends with the part stored and its unit done; or throws, with its uploads aborted or recorded for whoever comes next. */
  async write(): Promise<void> {
    const { goal, snapshot } = this.#work;
    const catalogue = await loadCatalogue(this.#exporter.database, snapshot.workspaceId);
    const processing = {
      pseudonymKey: this.#exporter.pseudonymKey(snapshot.workspaceId),
      now: new Date(this.#plan.plannedAt),
    };
    const { seals } = this.#exporter;
    const source = partSource(this.#work, this.#plan, this.#part, catalogue, processing, seals);
    const expectedBytes = await estimateBytes(this.#exporter.database, goal, this.#plan, source);
    this.#context.signal.throwIfAborted();
    // Requests under way are not waited for: the last of them may be all that is left of this part.
    const abort = (): void => void this.#open?.upload.abort().catch(() => undefined);
    this.#stopped.addEventListener('abort', abort, { once: true });
    let last: WrittenFile;
    try {
      const { number, objectKey } = this.#part;
      await this.#begin({ number, file: 1, objectKey }, expectedBytes);
      last = await this.#stream(source, expectedBytes);
      this.#stopped.throwIfAborted();
    } catch (error) {
      // Only a courtesy: the upload is recorded, and whoever ends or repeats this part removes it.
      await this.#open?.upload.abort().catch(() => undefined);
      throw this.#withdrawn.signal.aborted ? new PartWithdrawn() : error;
    } finally {
      this.#stopped.removeEventListener('abort', abort);
    }
    // From here on the upload stays: should the answer to the commit be lost, it is unknown whether it is needed.
    await this.#finish(this.#opened, last, tallies(source, last));
  }

  get #opened(): OpenFile {
    if (this.#open === undefined) throw new Error('no file is open');
    return this.#open;
  }

  async #begin(file: Omit<OpenFile, 'upload' | 'startedAt'>, expectedBytes: number): Promise<void> {
    const { key, goal, store } = this.#work;
    const startedAt = performance.now();
    const upload = await store.startUpload(goal.target.bucket, file.objectKey, {
      expectedBytes,
      contentType: contentType(file.objectKey),
    });
    this.#open = { ...file, upload, startedAt };
    await this.#exporter.database.transaction(async (tx) => {
      await beginUnderLease(tx, this.#context.lease);
      if ((await lockExport(tx, key))?.state !== 'parts') this.#withdraw();
      await recordUpload(tx, key, {
        number: file.number,
        uploadId: upload.uploadId,
        leaseToken: this.#context.lease.token,
      });
    });
  }

  /** The transaction ends with the last row, not with the last byte sent: an idle one would be ended by the server. */
  async #stream(source: PartSource, expectedBytes: number): Promise<WrittenFile> {
    const { goal, endpoint } = this.#work;
    const reader = await this.#chooseReader();
    const encoding = { goal, pgp: pgpOptions(goal, endpoint), ...source };
    const signal = this.#stopped;
    let next: Omit<OpenFile, 'upload' | 'startedAt'> | undefined;
    let lastFile: WrittenFile | undefined;
    const sink = {
      open: async () => {
        if (next !== undefined) {
          await this.#checkFree(next.objectKey);
          await this.#begin(next, expectedBytes);
        }
        return this.#opened.upload;
      },
      close: async (file: WrittenFile, last: boolean) => {
        if (last) lastFile = file;
        else next = await this.#goOn(this.#opened, file, tallies(source, file));
      },
    };
    let written: Promise<void> | undefined;
    let endWatch: (() => Promise<void>) | undefined;
    try {
      await reader.database.transaction(async (tx) => {
        // A replica has no leases to lock. Whoever takes the part over aborts the upload, and with it what is read for it.
        if (!reader.isReplica) await beginUnderLease(tx, this.#context.lease);
        await tuneSelection(tx, this.#plan.access);
        await source.prepare(tx);
        await endOnAbort(reader.database, tx, signal, async (backendPid) => {
          const copy = tx.copyOut(source.statement);
          written = writeFiles(copy, encoding, sink, signal);
          written.catch((error: Error) => copy.destroy(error));
          endWatch = this.#watch({ database: reader.database, backendPid });
          await finished(copy, { writable: false });
        });
      });
      await written;
    } finally {
      await endWatch?.();
    }
    if (lastFile === undefined) throw new Error('a part ended without a file');
    return lastFile;
  }

  /** A second attempt reads the primary: a replica may end long reads to go on replaying. */
  async #chooseReader(): Promise<Reader> {
    const { database, replica, events } = this.#exporter;
    const candidate = this.#unit.attempts > 1 ? undefined : replica;
    const { verdict, ...reader } = await chooseReader(database, candidate, this.#context.lease, this.#stopped);
    if (verdict !== undefined) events.replica(this.#work.key, verdict);
    return reader;
  }

  #watch(reader: WatchedPart['reader']): () => Promise<void> {
    return watchPart(
      this.#exporter,
      {
        key: this.#work.key,
        plan: this.#plan,
        reader,
        at: () => {
          const { number, upload } = this.#opened;
          return { number, uploadId: upload.uploadId, rowsBefore: this.#rowsBefore };
        },
      },
      () => this.#withdrawn.abort(),
    );
  }

  /** One file is stored and another one follows: in one commit, so that the export never looks complete in between. */
  async #goOn(
    done: OpenFile,
    written: WrittenFile,
    counted: PartTallies,
  ): Promise<Omit<OpenFile, 'upload' | 'startedAt'>> {
    const { key, goal, endpoint } = this.#work;
    const file = done.file + 1;
    if (file > maxFiles) {
      throw new InputError(
        'too-many-files',
        `more than ${maxFiles} files would be cut: allow more rows or bytes in each`,
        { at: goal.splitBytes === undefined ? 'splitRows' : 'splitBytes' },
      );
    }
    const objectKey = furtherFile(goal, this.#part.objectKey, file);
    const { audience, series } = this.#part;
    const number = await this.#exporter.database.transaction(async (tx) => {
      await beginUnderLease(tx, this.#context.lease);
      if ((await lockExport(tx, key))?.state !== 'parts') this.#withdraw();
      const place = { endpoint: endpointName(endpoint), bucket: goal.target.bucket };
      if (!(await reserveFurtherKey(tx, key, place, objectKey))) throw taken(goal.target.bucket, objectKey);
      const added = await insertFurtherPart(tx, key, { audience, series, file, unitId: this.#unit.id, objectKey });
      await recordStored(tx, key, {
        number: done.number,
        uploadId: done.upload.uploadId,
        stored: written.summary,
        rows: written.rows,
        tallies: counted,
      });
      return added;
    });
    this.#tell(done, written);
    return { number, file, objectKey };
  }

  async #checkFree(objectKey: string): Promise<void> {
    const { goal, store } = this.#work;
    const { bucket } = goal.target;
    if ((await firstExisting(store, bucket, [objectKey])) !== undefined) throw taken(bucket, objectKey);
  }

  async #finish(open: OpenFile, written: WrittenFile, counted: PartTallies): Promise<void> {
    const { key, goal } = this.#work;
    const { parentId } = this.#unit;
    const { uploadId } = open.upload;
    // Events are nobody's promise: a type without any has no file where nothing may be without rows.
    const omitted = this.#part.series !== '' && open.file === 1 && written.rows === 0 && goal.emptyResult === 'skip';
    if (omitted) await open.upload.abort();
    const left = await this.#exporter.database.transaction(async (tx) => {
      await beginUnderLease(tx, this.#context.lease);
      // Also makes the parts take turns, so that one of them is the last.
      if ((await lockExport(tx, key))?.state !== 'parts') this.#withdraw();
      const waiting = await recordStored(tx, key, {
        number: open.number,
        uploadId,
        stored: omitted ? undefined : written.summary,
        rows: written.rows,
        tallies: counted,
      });
      if (waiting === 0 && parentId !== undefined) await hastenUnit(tx, parentId);
      await finishUnit(tx, this.#context.lease, this.#unit, {
        rows: this.#rowsBefore + written.rows,
        bytes: this.#bytesBefore + written.summary.bytes,
      });
      return waiting;
    });
    this.#tell(open, written);
    if (left === 0 && parentId !== undefined)
      await this.#exporter.wakeUps.wake('export-run', { version: 1, unitId: parentId });
  }

  #tell({ number, startedAt }: OpenFile, { rows, summary }: WrittenFile): void {
    this.#rowsBefore += rows;
    this.#bytesBefore += summary.bytes;
    this.#exporter.events.partStored(this.#work.key, {
      number,
      rows,
      bytes: summary.bytes,
      elapsedMs: performance.now() - startedAt,
    });
  }

  #withdraw(): never {
    this.#withdrawn.abort();
    throw new PartWithdrawn();
  }
}

function tallies({ rows }: PartSource, { charactersReplaced }: WrittenFile): PartTallies {
  return { ...(rows?.takeTallies() ?? noTallies()), charactersReplaced };
}

function taken(bucket: string, objectKey: string): InputError {
  return new InputError(
    'object-exists',
    `${bucket}/${objectKey} exists already and is never overwritten; remove it, or put %DATETIME% into the file name`,
    { at: 'fileName' },
  );
}

function contentType(objectKey: string): string {
  if (objectKey.endsWith('.pgp')) return 'application/pgp-encrypted';
  return objectKey.endsWith('.gz') ? 'application/gzip' : 'text/csv';
}
