import type { Transaction } from '@millrace/database';
import { exportPartPayload, InputError, summariseError } from '@millrace/domain';
import {
  beginUnderLease,
  cancelUnit,
  hastenUnit,
  type Lease,
  type Unit,
  type UnitEnd,
  type UnitHandler,
} from '@millrace/job-queue';
import { removeUploads } from '../finish-export/remove-uploads.js';
import { type Exporter, withExportWork } from '../run-export/exporter.js';
import { beginAbandoning, type ExportKey, lockExport, readExport } from '../storage/exports.js';
import { forgetFurtherParts, type PartRow, readParts } from '../storage/parts.js';
import { PartWithdrawn, PartWriter } from './part-writer.js';

/**
 * `export-part`: writes one file of an export, or the files its rows are cut into, up to where only its completion is missing. A second attempt removes what
 * the first one stored and writes the file again.
 */
export function writePart(exporter: Exporter): UnitHandler {
  return async (unit, context) => {
    const { database } = exporter;
    await withExportWork(exporter, unit, async (work) => {
      const withdraw = async (): Promise<void> => database.transaction((tx) => cancelUnit(tx, context.lease, unit));
      const current = await readExport(database, work.key);
      const [part, ...further] = await partsOf(exporter, work.key, unit);
      if (current?.state !== 'parts' || part === undefined) return await withdraw();
      try {
        const fence = async (): Promise<void> => checkLease(exporter, context.lease);
        for (const one of [part, ...further]) await removeUploads(work.store, work.goal.target.bucket, one, fence);
        if (further.length > 0) {
          await database.transaction(async (tx) => {
            await beginUnderLease(tx, context.lease);
            await lockExport(tx, work.key);
            await forgetFurtherParts(tx, work.key, unit.id);
          });
        }
        await new PartWriter(exporter, work, current.plan, part, unit, context).write();
      } catch (error) {
        if (error instanceof PartWithdrawn) return await withdraw();
        if (error instanceof InputError) await giveUpExport(exporter, work.key, unit, context.lease, error);
        throw error;
      }
    });
  };
}

/** `cleanUp` of `export-part`: a part that ends without being stored leaves no upload open, and its export need not wait to hear of it. */
export async function removePart(exporter: Exporter, unit: Unit, { lease }: UnitEnd): Promise<void> {
  await hastenExport(exporter, unit, lease, async () => undefined);
  await withExportWork(exporter, unit, async ({ key, goal, store }) => {
    for (const part of await partsOf(exporter, key, unit))
      await removeUploads(store, goal.target.bucket, part, () => checkLease(exporter, lease));
  });
}

/** The part of a unit, and behind it what it was cut into. */
async function partsOf(exporter: Exporter, key: ExportKey, unit: Unit): Promise<readonly PartRow[]> {
  exportPartPayload.parse(unit.payload);
  return (await readParts(exporter.database, key)).filter(({ unitId }) => unitId === unit.id);
}

async function checkLease(exporter: Exporter, lease: Lease): Promise<void> {
  await exporter.database.transaction((tx) => beginUnderLease(tx, lease));
}

/** One file that cannot be written means no export: the others need not go on, and the run need not wait to hear of it. */
async function giveUpExport(
  exporter: Exporter,
  key: ExportKey,
  unit: Unit,
  lease: Lease,
  error: InputError,
): Promise<void> {
  await hastenExport(exporter, unit, lease, async (tx) => void (await beginAbandoning(tx, key, summariseError(error))));
}

async function hastenExport(
  exporter: Exporter,
  { parentId }: Unit,
  lease: Lease,
  work: (tx: Transaction) => Promise<void>,
): Promise<void> {
  await exporter.database.transaction(async (tx) => {
    await beginUnderLease(tx, lease);
    await work(tx);
    if (parentId !== undefined) await hastenUnit(tx, parentId);
  });
  if (parentId !== undefined) await exporter.wakeUps.wake('export-run', { version: 1, unitId: parentId });
}
