import type { Database } from '@millrace/database';
import type { ErrorSummary } from '@millrace/domain';
import { beginUnderLease, childUnits, type Lease } from '@millrace/job-queue';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Exporter, ExportWork } from '../run-export/exporter.js';
import { readAnnouncement } from '../storage/announcements.js';
import {
  beginAbandoning,
  endAbandoning,
  type ExportKey,
  type ExportRow,
  lockExport,
  readExport,
} from '../storage/exports.js';
import { type PartRow, readParts } from '../storage/parts.js';
import { removeUploads } from './remove-uploads.js';

/** Part writers look at the state of their export every second; one that is dead needs no waiting for. */
const partsStopWithinMs = 4000;

/**
 * Ends an export that will not be delivered: from now on nobody may finish it, its writers stop, its uploads and objects
 * go. Does nothing to one that is delivered, or not yet planned. What it throws leaves the export to be swept up later.
 * @param error Why; undefined: it was cancelled. The first reason given stays.
 */
export async function abandonExport(
  exporter: Exporter,
  work: ExportWork,
  unitId: string,
  lease: Lease,
  error: ErrorSummary | undefined,
): Promise<void> {
  const abandoning = await exporter.database.transaction(async (tx) => {
    await beginUnderLease(tx, lease);
    await lockExport(tx, work.key);
    return await beginAbandoning(tx, work.key, error);
  });
  if (!abandoning) return;
  await partsAtRest(exporter.database, unitId);
  await removeAbandoned(exporter, work);
}

/** Removes what an abandoned export may have left; safe to repeat. */
export async function removeAbandoned(
  exporter: Exporter,
  { key, goal, store }: Pick<ExportWork, 'key' | 'goal' | 'store'>,
): Promise<void> {
  const { database } = exporter;
  const abandoned = await readExport(database, key);
  if (abandoned?.state !== 'abandoning') return;
  const { bucket } = goal.target;
  const parts = await readParts(database, key);
  try {
    const fence = async (): Promise<void> => checkAbandoning(database, key);
    for (const part of parts) await removeUploads(store, bucket, part, fence);
    if (abandoned.finishBegun) await removeVisible(exporter, { key, goal, store }, abandoned, parts);
  } catch (error) {
    if (error instanceof RemovedElsewhere) return;
    throw error;
  }
  await database.transaction((tx) => endAbandoning(tx, key));
  exporter.events.abandoned(key, abandoned.error);
}

/** What is left to do has been done by somebody else: names may belong to another export by now. */
class RemovedElsewhere extends Error {}

async function checkAbandoning(database: Database, key: ExportKey): Promise<void> {
  if ((await readExport(database, key))?.state !== 'abandoning') throw new RemovedElsewhere();
}

/** Backwards: what says that something is there goes before it does, and its upload before that, so that nothing brings it back. */
async function removeVisible(
  { database }: Exporter,
  { key, goal, store }: Pick<ExportWork, 'key' | 'goal' | 'store'>,
  { manifestKeys, tokenKey }: Pick<ExportRow, 'manifestKeys' | 'tokenKey'>,
  parts: readonly PartRow[],
): Promise<void> {
  const { bucket } = goal.target;
  const fence = async (): Promise<void> => checkAbandoning(database, key);
  for (const objectKey of [...manifestKeys, ...(tokenKey === undefined ? [] : [tokenKey])].toReversed()) {
    const recorded = await readAnnouncement(database, key, objectKey);
    await removeUploads(store, bucket, { objectKey, uploadId: recorded?.uploadId }, fence);
    await fence();
    await store.delete(bucket, objectKey);
  }
  for (const { objectKey } of parts) {
    await fence();
    await store.delete(bucket, objectKey);
  }
}
/** Removing under a writer's hands would work too, but leave it to fail in odd ways. */
async function partsAtRest(database: Database, unitId: string): Promise<void> {
  const deadline = performance.now() + partsStopWithinMs;
  while (performance.now() < deadline) {
    const parts = await childUnits(database, unitId);
    if (parts.every((part) => part.state !== 'running')) return;
    await sleep(100);
  }
}
