import type { ErrorSummary } from '@millrace/domain';
import type { Log } from '@millrace/job-queue';
import type { Metrics } from '@millrace/service-kit';
import { expectedRows, type ExportPlan } from '../plan-export/export-plan.js';
import type { ReplicaVerdict } from '../write-part/choose-reader.js';
import type { ExportKey } from '../storage/exports.js';

/** What happens in this service, each logged and counted in one call. Never rows, keys or signed addresses. */
export interface ExportEvents {
  planned(key: ExportKey, plan: ExportPlan): void;
  nameTaken(key: ExportKey, wanted: string, taken: string): void;
  partStored(
    key: ExportKey,
    part: { readonly number: number; readonly rows: number; readonly bytes: number; readonly elapsedMs: number },
  ): void;
  delivered(key: ExportKey, totals: { readonly rows: number; readonly bytes: number; readonly files: number }): void;
  /** Whether a part is read from the replica or, and why, from the primary. */
  replica(key: ExportKey, verdict: ReplicaVerdict): void;
  abandoned(key: ExportKey, error: ErrorSummary | undefined): void;
  /** Something of an abandoned export may still lie in the bucket; it is tried again. */
  removalFailed(key: ExportKey, error: unknown): void;
}

export function createExportEvents(log: Log, metrics: Metrics): ExportEvents {
  const exports = metrics.counter({
    name: 'millrace_exports_total',
    help: 'Exports ended, by outcome',
    labels: ['outcome'],
  });
  const rows = metrics.counter({ name: 'millrace_export_rows_total', help: 'Rows in delivered files' });
  const bytes = metrics.counter({ name: 'millrace_export_bytes_total', help: 'Bytes of delivered files, as stored' });
  const full = metrics.counter({
    name: 'millrace_export_unplanned_full_total',
    help: 'Delta goals that had to run in full',
  });
  const seconds = metrics.histogram({
    name: 'millrace_export_part_seconds',
    help: 'Time to write one file',
    buckets: [0.1, 0.5, 1, 5, 15, 60, 300, 1800],
  });
  const reads = metrics.counter({
    name: 'millrace_export_replica_reads_total',
    help: 'Parts for which a read replica was asked, by what came of it',
    labels: ['verdict'],
  });
  const removals = metrics.counter({
    name: 'millrace_export_removal_failures_total',
    help: 'Failed removals of abandoned files',
  });
  return {
    planned(key, plan) {
      if (plan.reason !== undefined) full.inc();
      const { mode, reason, access, files, counts } = plan;
      log.info({ ...key, mode, reason, access, files, counts, expected: expectedRows(plan) }, 'export planned');
    },
    nameTaken(key, wanted, taken) {
      log.warn({ ...key, wanted, taken }, 'the file name is taken: another one is used');
    },
    partStored(key, part) {
      seconds.observe(part.elapsedMs / 1000);
      log.info(
        { ...key, part: part.number, rows: part.rows, bytes: part.bytes, elapsedMs: Math.round(part.elapsedMs) },
        'export file stored',
      );
    },
    delivered(key, totals) {
      exports.inc({ outcome: 'succeeded' });
      rows.inc(totals.rows);
      bytes.inc(totals.bytes);
      log.info({ ...key, ...totals }, 'export delivered');
    },
    replica(key, verdict) {
      reads.inc({ verdict });
      if (verdict === 'unfit' || verdict === 'unreachable')
        log.warn({ ...key, verdict }, 'the read replica cannot be used: reading from the primary');
    },
    abandoned(key, error) {
      exports.inc({ outcome: error === undefined ? 'cancelled' : 'failed' });
      log.info(
        { ...key, code: error?.code },
        error === undefined ? 'export cancelled: its files are removed' : 'export failed: its files are removed',
      );
    },
    removalFailed(key, error) {
      removals.inc();
      log.error({ ...key, err: error }, 'files of an abandoned export could not be removed: tried again');
    },
  };
}
