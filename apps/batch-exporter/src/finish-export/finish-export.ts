import type { ExportCounts } from '@millrace/domain';
import { beginUnderLease, finishUnit, type Lease, type Unit, writeRunEvent } from '@millrace/job-queue';
import { audiencesOf, remembersDelivered } from '@millrace/mapping';
import type { Exporter, ExportWork } from '../run-export/exporter.js';
import { type ExportRow, moveExport, releaseKeys } from '../storage/exports.js';
import { keepDelivered } from '../storage/delivered.js';
import { type PartRow, readParts, recordCompleted } from '../storage/parts.js';
import { dropSelected } from '../storage/selected.js';
import { storeWatermark } from '../storage/watermark.js';
import { announce } from './announce.js';
import { countsOf, type DeliveredFile } from './counts.js';
import { type WrittenFile, writeManifest } from './manifest.js';
import { removeStrayUploads } from './remove-uploads.js';

/**
 * Delivers an export whose parts are all stored: objects become visible, then the manifests that list them, then the token
 * file, then, in one transaction, watermark, run event and the end of the unit. Each step may be done again after a crash.
 */
export async function finishExport(
  exporter: Exporter,
  work: ExportWork,
  current: ExportRow,
  unit: Unit,
  lease: Lease,
): Promise<void> {
  const { database } = exporter;
  const { key, goal, store } = work;
  const { bucket } = goal.target;
  const all = await readParts(database, key);
  await removeStrayUploads(store, bucket, all, async () => database.transaction((tx) => beginUnderLease(tx, lease)));
  const parts = all.filter(({ state }) => state !== 'omitted');
  for (const part of parts) {
    if (part.state === 'completed') continue;
    const { uploadId, receipt } = storedUpload(part);
    await store.completeUpload(bucket, part.objectKey, uploadId, receipt);
    await database.transaction(async (tx) => {
      await beginUnderLease(tx, lease);
      await recordCompleted(tx, key, part.number);
    });
  }
  const files = parts.map(({ objectKey: name, ...part }) => ({ ...part, key: name }));
  for (const [index, manifestKey] of current.manifestKeys.entries()) {
    const dialect = goal.manifests[index];
    if (dialect === undefined)
      throw new Error(`export ${key.runId} has a name for manifest ${index + 1}, its goal does not`);
    const { body, contentType } = writeManifest(dialect, key, current.plan, files, manifestKey);
    await announce(exporter, work, { objectKey: manifestKey, body, contentType }, lease);
  }
  if (current.tokenKey !== undefined) {
    const token = { objectKey: current.tokenKey, body: Buffer.alloc(0), contentType: 'text/plain' };
    await announce(exporter, work, token, lease);
  }
  await markDelivered(exporter, work, current, files, unit, lease);
}

/** Also the whole of an export that has nothing to write. */
export async function markDelivered(
  exporter: Exporter,
  { key, goal }: Pick<ExportWork, 'key' | 'goal'>,
  { plan, manifestKeys, tokenKey, state }: Pick<ExportRow, 'plan' | 'manifestKeys' | 'tokenKey' | 'state'>,
  files: readonly DeliveredFile[],
  unit: Unit,
  lease: Lease,
): Promise<void> {
  const profiles = files.filter(({ series }) => series === '');
  const totals = { rows: sum(profiles, 'rows'), bytes: sum(files, 'bytes') };
  const counts: ExportCounts & Record<string, unknown> = {
    ...totals,
    ...countsOf(goal, files),
    files: files.map(({ key: name, rows, bytes, sha256 }) => ({ name, rows, bytes, sha256 })),
    ...(manifestKeys.length === 0 ? {} : { manifest: manifestKeys[0], manifests: [...manifestKeys] }),
    ...(tokenKey === undefined ? {} : { token: tokenKey }),
    mode: plan.mode,
    ...(plan.reason === undefined ? {} : { reason: plan.reason }),
    ...plan.counts,
  };
  await exporter.database.transaction(async (tx) => {
    await beginUnderLease(tx, lease);
    if (!(await moveExport(tx, key, [state], 'done')))
      throw new Error(`export ${key.runId} left state ${state} under its lease`);
    await releaseKeys(tx, key);
    await keepDelivered(tx, key, {
      full: plan.mode === 'full',
      remembered: remembersDelivered(goal),
      audiences: audiencesOf(goal).map(({ segmentId }) => segmentId),
      snapshot: plan.position.snapshot,
    });
    await dropSelected(tx, key);
    await storeWatermark(tx, key, plan.goalHash, plan.position);
    await writeRunEvent(tx, { ...key, unitId: unit.id }, { kind: 'goal-finished', outcome: 'succeeded', counts });
    await finishUnit(tx, lease, unit, counts);
  });
  await exporter.wakeUps.wake('run-event', { version: 1 });
  exporter.events.delivered(key, { ...totals, files: files.length });
}

function storedUpload(part: PartRow): { readonly uploadId: string; readonly receipt: string } {
  const { uploadId, receipt } = part;
  if (part.state !== 'stored' || uploadId === undefined || receipt === undefined)
    throw new Error(`part ${part.number} is ${part.state}, not stored`);
  return { uploadId, receipt };
}

function sum(files: readonly WrittenFile[], field: 'rows' | 'bytes'): number {
  return files.reduce((total, file) => total + file[field], 0);
}
