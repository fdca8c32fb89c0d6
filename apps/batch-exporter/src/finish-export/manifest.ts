import { type ExportManifest, exportManifest } from '@millrace/domain';
import type { ExportPlan } from '../plan-export/export-plan.js';

export interface WrittenFile {
  readonly key: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** The same export always gives the same bytes: writing it again after a crash changes nothing. Files are named as they lie beside it. */
export function manifestOf(
  run: { readonly runId: string; readonly goalId: string },
  plan: ExportPlan,
  files: readonly WrittenFile[],
): Buffer {
  const manifest: ExportManifest = exportManifest.parse({
    version: 1,
    runId: run.runId,
    goalId: run.goalId,
    mode: plan.mode,
    ...(plan.reason === undefined ? {} : { reason: plan.reason }),
    plannedAt: plan.plannedAt,
    rows: files.reduce((sum, file) => sum + file.rows, 0),
    files: files.map(({ key, rows, bytes, sha256 }) => ({
      name: key.slice(key.lastIndexOf('/') + 1),
      rows,
      bytes,
      sha256,
    })),
  });
  return Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`);
}
