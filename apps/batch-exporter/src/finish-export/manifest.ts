import path from 'node:path';
import { type ExportManifest, exportManifest, type ManifestDialect } from '@millrace/domain';
import type { ExportPlan } from '../plan-export/export-plan.js';

export interface WrittenFile {
  readonly key: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
}

interface RunOfGoal {
  readonly runId: string;
  readonly goalId: string;
}

/**
 * The manifest of an export, to be stored under `manifestKey`, as the reader of `dialect` expects it. The same export always gives the same bytes: writing it
 * again after a crash changes nothing.
 */
export function writeManifest(
  dialect: ManifestDialect,
  run: RunOfGoal,
  plan: ExportPlan,
  files: readonly WrittenFile[],
  manifestKey: string,
): { readonly body: Buffer; readonly contentType: string } {
  const nameOf = (key: string): string => path.posix.relative(path.posix.dirname(manifestKey), key);
  switch (dialect.kind) {
    case 'millrace':
      return json(millraceManifest(run, plan, files, nameOf));
    case 'adobe':
      return json(adobeManifest(run, plan, files));
    case 'pega':
      return { body: Buffer.from(pegaManifest(dialect.processType, files, nameOf)), contentType: 'application/xml' };
  }
}

function json(manifest: object): { readonly body: Buffer; readonly contentType: string } {
  return { body: Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`), contentType: 'application/json' };
}

type NameOf = (key: string) => string;

/** Files are named as they lie beside it; those in other folders by the way there. */
function millraceManifest(
  run: RunOfGoal,
  plan: ExportPlan,
  files: readonly WrittenFile[],
  nameOf: NameOf,
): ExportManifest {
  return exportManifest.parse({
    version: 1,
    runId: run.runId,
    goalId: run.goalId,
    mode: plan.mode,
    ...(plan.reason === undefined ? {} : { reason: plan.reason }),
    plannedAt: plan.plannedAt,
    rows: totalRows(files),
    files: files.map(({ key, rows, bytes, sha256 }) => ({ name: nameOf(key), rows, bytes, sha256 })),
  });
}

/** `sinkPath` is the folder in the bucket. */
function adobeManifest(run: RunOfGoal, plan: ExportPlan, files: readonly WrittenFile[]): object {
  return {
    flowRunId: run.runId,
    scheduledTime: plan.plannedAt,
    exportResults: files.map(({ key, bytes }) => ({
      sinkPath: folderOf(key),
      name: path.posix.basename(key),
      size: bytes,
    })),
  };
}

/** Names are relative to the folder of the manifest. */
function pegaManifest(processType: string, files: readonly WrittenFile[], nameOf: NameOf): string {
  const lines = files.flatMap(({ key, rows, bytes }) => [
    '    <file>',
    `      <name>${xmlText(nameOf(key))}</name>`,
    `      <size>${bytes}</size>`,
    `      <recordCount>${rows}</recordCount>`,
    '    </file>',
  ]);
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<manifest>',
    `  <processType>${xmlText(processType)}</processType>`,
    `  <totalRecordCount>${totalRows(files)}</totalRecordCount>`,
    '  <files>',
    ...lines,
    '  </files>',
    '</manifest>',
    '',
  ].join('\n');
}

const xmlEntities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };

function xmlText(text: string): string {
  return text.replaceAll(/[&<>]/g, (character) => xmlEntities[character] ?? character);
}

function totalRows(files: readonly WrittenFile[]): number {
  return files.reduce((sum, file) => sum + file.rows, 0);
}

function folderOf(key: string): string {
  return key.slice(0, Math.max(0, key.lastIndexOf('/')));
}
