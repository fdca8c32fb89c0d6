import { InputError } from '@millrace/domain';
import { type Catalogue, compileExportEvents } from '@millrace/mapping';
import { beginUnderLease, type Lease } from '@millrace/job-queue';
import type { ObjectStore } from '@millrace/object-store';
import { endpointName, type Exporter, type ExportWork } from '../run-export/exporter.js';
import { reserveKeys } from '../storage/exports.js';
import { readWorkspaceName } from '../storage/workspace-name.js';
import type { ExportPlan } from './export-plan.js';
import { type ExportNames, exportNames, namesCarryTime } from './file-names.js';

const attempts = 100;

/**
 * Finds names that nothing has: neither another export under way, nor an object in the bucket. Names with a time in them
 * give way to `-2`, `-3`, ...; those without would be looked for by name, so there the run fails.
 * @throws InputError('object-exists')
 */
export async function nameFiles(
  exporter: Exporter,
  work: ExportWork,
  plan: ExportPlan,
  catalogue: Catalogue,
  lease: Lease,
): Promise<ExportNames> {
  const { key, goal, store, endpoint, snapshot } = work;
  const { bucket } = goal.target;
  const workspace = await readWorkspaceName(exporter.database, snapshot.workspaceId);
  const nameOf = (segmentId: string): string => catalogue.segments.get(segmentId)?.name ?? segmentId;
  const context = {
    segmentName: nameOf(goal.segmentId),
    plannedAt: new Date(plan.plannedAt),
    files: plan.files,
    audiences: plan.audiences?.map((audience) => ({ ...audience, segmentName: nameOf(audience.segmentId) })),
    workspace,
    connection: { id: snapshot.connectionId, name: snapshot.connectionName ?? '' },
    series: compileExportEvents(goal, catalogue),
    ...key,
  };
  const [wanted] = exportNames(goal, context).files;
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    const names = exportNames(goal, context, attempt);
    const keys = [
      ...(names.token === undefined ? [] : [names.token]),
      ...names.files,
      ...names.events,
      ...names.manifests,
    ];
    const reservedElsewhere = await exporter.database.transaction(async (tx) => {
      await beginUnderLease(tx, lease);
      return await reserveKeys(tx, key, { endpoint: endpointName(endpoint), bucket }, keys);
    });
    const taken = reservedElsewhere ?? (await firstExisting(store, bucket, keys));
    if (taken === undefined) {
      if (attempt > 1) exporter.events.nameTaken(key, wanted ?? '', names.files[0] ?? '');
      return names;
    }
    if (taken === names.token && taken === exportNames(goal, context, attempt + 1).token) {
      throw new InputError(
        'object-exists',
        `the token file ${bucket}/${taken} of an earlier export is still there or about to be written; its reader removes it, or put %FILE_NAME% into its name`,
        { at: 'tokenFile' },
      );
    }
    if (!namesCarryTime(goal)) {
      throw new InputError(
        'object-exists',
        `${bucket}/${taken} exists already and is never overwritten; remove it, or put %DATETIME% into the file name`,
        {
          at: 'fileName',
        },
      );
    }
  }
  throw new InputError('object-exists', `${bucket}/${wanted ?? ''} and ${attempts - 1} names like it exist already`, {
    at: 'fileName',
  });
}

/** By listing, which an export may do anyway: asking for an object's head needs the permission to read it. */
export async function firstExisting(
  store: ObjectStore,
  bucket: string,
  keys: readonly string[],
): Promise<string | undefined> {
  for (const key of keys) {
    // A key comes before all others it is a prefix of.
    for await (const object of store.list(bucket, key)) {
      if (object.key === key) return key;
      break;
    }
  }
  return undefined;
}
