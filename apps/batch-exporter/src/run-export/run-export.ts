import { InputError } from '@millrace/domain';
import {
  beginUnderLease,
  childUnits,
  finishUnit,
  handBackUnit,
  type Lease,
  openUnit,
  type Unit,
  type UnitContext,
  type UnitHandler,
  writeRunEvent,
} from '@millrace/job-queue';
import { type Catalogue, compileExportEvents, lastWordsOf } from '@millrace/mapping';
import { loadCatalogue, registerErasureReader, removeErasureReader } from '@millrace/profile-store';
import { finishExport, markDelivered } from '../finish-export/finish-export.js';
import type { ExportPlan } from '../plan-export/export-plan.js';
import type { ExportNames } from '../plan-export/file-names.js';
import { nameFiles } from '../plan-export/name-files.js';
import { plannedFile } from '../plan-export/part-selection.js';
import { planExport } from '../plan-export/plan-export.js';
import { type ExportRow, insertExport, lockExport, moveExport, readExport } from '../storage/exports.js';
import { endOnAbort } from '../storage/end-on-abort.js';
import { insertParts, type NewPart, readParts } from '../storage/parts.js';
import { measureSelected } from '../storage/selected.js';
import { seriesName } from '../write-part/part-source.js';
import { checkEncoding } from '../write-part/part-stream.js';
import { type Exporter, type ExportWork, withExportWork } from './exporter.js';

/** The last part hastens its export; this is for what that misses. */
const lookAgainMs = 2000;

/**
 * `export-run`: takes an export from wherever its row says it stands to the next point where it has to wait. It waits for
 * its parts by handing itself back, so that nothing is held while they are written.
 */
export function runExport(exporter: Exporter): UnitHandler {
  return async (unit, context) => {
    await withExportWork(exporter, unit, async (work) => {
      const current = await readExport(exporter.database, work.key);
      switch (current?.state) {
        case undefined:
          return await openParts(exporter, work, await plan(exporter, work, unit, context), unit, context);
        case 'planned':
          return await openParts(exporter, work, current.plan, unit, context);
        case 'parts':
          return await finishOrWait(exporter, work, current, unit, context);
        case 'finishing':
          return await finishExport(exporter, work, current, unit, context.lease);
        case 'done':
          return await exporter.database.transaction((tx) => finishUnit(tx, context.lease, unit));
        case 'abandoning':
        case 'failed':
        case 'cancelled':
          throw reasonOf(current);
      }
    });
  };
}

async function plan(
  exporter: Exporter,
  work: ExportWork,
  unit: Unit,
  { lease, signal }: UnitContext,
): Promise<ExportPlan> {
  const { database } = exporter;
  const { key, goal, snapshot, endpoint } = work;
  await checkEncoding(goal, endpoint);
  const catalogue = await loadCatalogue(database, snapshot.workspaceId);
  await listenToErasures(exporter, work, catalogue, lease);
  const planned = await database.transaction(async (tx) => {
    await beginUnderLease(tx, lease);
    const seal = exporter.seals.sealer(snapshot.workspaceId, key.goalId);
    const terms = { endpoint: endpoint.endpoint, consentObjectives: snapshot.consentObjectives };
    const made = await endOnAbort(database, tx, signal, () => planExport(tx, key, goal, terms, catalogue, seal));
    await insertExport(tx, key, unit.snapshotId, made);
    await writeRunEvent(tx, { ...key, unitId: unit.id }, { kind: 'goal-started' });
    if (made.reason !== undefined) {
      await writeRunEvent(
        tx,
        { ...key, unitId: unit.id },
        { kind: 'goal-note', level: 'info', message: `full export: ${made.reason}` },
      );
    }
    return made;
  });
  if (planned.splitRows !== undefined || planned.audiences?.some(({ splitRows }) => splitRows !== undefined))
    await measureSelected(database);
  exporter.events.planned(key, planned);
  await exporter.wakeUps.wake('run-event', { version: 1 });
  signal.throwIfAborted();
  return planned;
}

/** Committed before the plan's snapshot: whatever that does not show as erased leaves for the goal by what it is known. */
async function listenToErasures(
  { database, seals }: Exporter,
  { key, goal, snapshot }: ExportWork,
  catalogue: Catalogue,
  lease: Lease,
): Promise<void> {
  const wanted = lastWordsOf(goal, catalogue);
  await database.transaction(async (tx) => {
    await beginUnderLease(tx, lease);
    if (wanted === undefined) return await removeErasureReader(tx, key.goalId);
    const { publicKey } = seals;
    await registerErasureReader(tx, { goalId: key.goalId, workspaceId: snapshot.workspaceId, ...wanted, publicKey });
  });
}

async function openParts(
  exporter: Exporter,
  work: ExportWork,
  made: ExportPlan,
  unit: Unit,
  { lease, signal }: UnitContext,
): Promise<void> {
  const { database } = exporter;
  const { key, goal, snapshot } = work;
  if (made.files === 0)
    return await markDelivered(
      exporter,
      work,
      { plan: made, manifestKeys: [], tokenKey: undefined, state: 'planned' },
      [],
      unit,
      lease,
    );
  const catalogue = await loadCatalogue(database, snapshot.workspaceId);
  const names = await nameFiles(exporter, work, made, catalogue, lease);
  const series = compileExportEvents(goal, catalogue).map((one) => seriesName(one));
  signal.throwIfAborted();
  const unitIds = await database.transaction(async (tx) => {
    await beginUnderLease(tx, lease);
    const parts: NewPart[] = [];
    for (const [index, file] of [...filesOfProfiles(made, names), ...filesOfEvents(series, names)].entries()) {
      const number = index + 1;
      const payload = { version: 1, part: number } as const;
      parts.push({ ...file, number, unitId: await openUnit(tx, { queue: 'export-part', parentId: unit.id, payload }) });
    }
    await insertParts(tx, key, names, parts);
    await handBackUnit(tx, lease, unit, lookAgainMs);
    return parts.map((part) => part.unitId);
  });
  await Promise.all(unitIds.map((unitId) => exporter.wakeUps.wake('export-part', { version: 1, unitId })));
}

type NewFile = Omit<NewPart, 'number' | 'unitId'>;

function filesOfProfiles(made: ExportPlan, { files }: ExportNames): readonly NewFile[] {
  return files.map((objectKey, index) => ({
    audience: plannedFile(made, index + 1).audience,
    series: '',
    objectKey,
  }));
}

function filesOfEvents(series: readonly string[], { events }: ExportNames): readonly NewFile[] {
  return events.map((objectKey, index) => ({
    audience: Math.floor(index / series.length),
    series: series[index % series.length] ?? '',
    objectKey,
  }));
}

async function finishOrWait(
  exporter: Exporter,
  work: ExportWork,
  current: ExportRow,
  unit: Unit,
  { lease, signal }: UnitContext,
): Promise<void> {
  const { database } = exporter;
  const { key } = work;
  const failed = (await childUnits(database, unit.id)).find((part) => part.state === 'failed');
  if (failed !== undefined) throw reasonOf({ error: failed.error });
  const finishing = await database.transaction(async (tx) => {
    await beginUnderLease(tx, lease);
    await lockExport(tx, key);
    const parts = await readParts(tx, key);
    if (!signal.aborted && parts.every(({ state }) => state === 'stored' || state === 'omitted'))
      return await moveExport(tx, key, ['parts'], 'finishing');
    await handBackUnit(tx, lease, unit, lookAgainMs);
    return false;
  });
  if (finishing) await finishExport(exporter, work, { ...current, state: 'finishing', finishBegun: true }, unit, lease);
}

/** The recorded reason, as the error that ends the unit. */
function reasonOf({ error }: Pick<ExportRow, 'error'>): InputError {
  if (error === undefined)
    return new InputError('export-abandoned', 'the export was stopped and its files are removed; start a new run');
  return new InputError(error.code, error.message, { at: error.at });
}
