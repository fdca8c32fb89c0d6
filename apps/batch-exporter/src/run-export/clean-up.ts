import { summariseError } from '@millrace/domain';
import type { Unit, UnitEnd } from '@millrace/job-queue';
import { abandonExport } from '../finish-export/abandon-export.js';
import { readExport } from '../storage/exports.js';
import { removePart } from '../write-part/write-part.js';
import { type Exporter, withExportWork } from './exporter.js';

/** Before a unit is closed as failed or cancelled, whoever worked on it last: what it wrote goes. */
export async function cleanUp(exporter: Exporter, unit: Unit, end: UnitEnd): Promise<void> {
  if (unit.queue === 'export-part') return await removePart(exporter, unit, end);
  // An export that was never planned has left nothing, and its secrets may be what would not open.
  if ((await readExport(exporter.database, unit)) === undefined) return;
  const error = end.outcome === 'failed' ? summariseError(end.error) : undefined;
  await withExportWork(exporter, unit, (work) => abandonExport(exporter, work, unit.id, end.lease, error));
}

/** From the begin of the finish on, a consumer may have seen objects: the export is delivered, cancelled or not. */
export async function refusesCancel(exporter: Exporter, unit: Unit): Promise<boolean> {
  if (unit.queue !== 'export-run') return false;
  const current = await readExport(exporter.database, unit);
  return current?.state === 'finishing' || current?.state === 'done';
}
