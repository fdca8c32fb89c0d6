import type { ImportCounts } from '@millrace/domain';
import type { Logger, Metrics } from '@millrace/service-kit';

/** What the importer tells operators: each event logs and counts in one call. Never row contents. */
export interface ImportEvents {
  fileSkipped(file: { runId: string; key: string; earlierRunId: string }): void;
  fileStaged(file: {
    runId: string;
    key: string;
    rowsRead: number;
    rejected: number;
    linkedRows: number;
    bytes: number;
    elapsedMs: number;
  }): void;
  stagingLost(file: { runId: string; key: string }): void;
  filePlanned(file: { runId: string; key: string; chunks: number; elapsedMs: number }): void;
  chunkApplied(chunk: { runId: string; number: number; rows: number; elapsedMs: number }): void;
  fileFinished(file: { runId: string; key: string; counts: ImportCounts; elapsedMs: number }): void;
  sourceKept(file: { runId: string; key: string; error: unknown }): void;
  tablesSwept(count: number): void;
  /** Rows about files, rejects and samples. */
  expiredRemoved(rows: number): void;
  sweepFailed(error: unknown): void;
}

export function createImportEvents(logger: Logger, metrics: Metrics): ImportEvents {
  const files = metrics.counter({ name: 'millrace_import_files_total', help: 'Files by outcome', labels: ['outcome'] });
  const rows = metrics.counter({
    name: 'millrace_import_rows_total',
    help: 'Root rows of finished files by outcome',
    labels: ['outcome'],
  });
  const staged = metrics.counter({
    name: 'millrace_import_staged_rows_total',
    help: 'Rows read from root and linked files',
  });
  const bytes = metrics.counter({ name: 'millrace_import_staged_bytes_total', help: 'Bytes of objects read' });
  const chunkSeconds = metrics.histogram({
    name: 'millrace_import_chunk_seconds',
    help: 'Time to apply one chunk',
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  });
  const lost = metrics.counter({
    name: 'millrace_import_staging_lost_total',
    help: 'Files staged again because the database had lost their rows',
  });
  const swept = metrics.counter({
    name: 'millrace_import_swept_tables_total',
    help: 'Staging and plan tables nobody owned any more',
  });
  return {
    fileSkipped(file) {
      files.inc({ outcome: 'skipped' });
      logger.info(file, 'file skipped: imported before');
    },
    fileStaged(file) {
      staged.inc(file.rowsRead + file.linkedRows);
      bytes.inc(file.bytes);
      logger.info(file, 'file staged');
    },
    stagingLost(file) {
      lost.inc();
      logger.warn(file, 'the staged rows are gone, as after a crash of the database: staging the same object again');
    },
    filePlanned(file) {
      logger.info(file, 'file planned');
    },
    chunkApplied(chunk) {
      chunkSeconds.observe(chunk.elapsedMs / 1000);
      logger.debug(chunk, 'chunk applied');
    },
    fileFinished({ counts, ...file }) {
      files.inc({ outcome: 'imported' });
      const { created, updated, unchanged, ambiguous, rejected, skipped } = counts;
      for (const [outcome, count] of Object.entries({ created, updated, unchanged, ambiguous, rejected, ...skipped }))
        rows.inc({ outcome }, count);
      logger.info({ ...file, counts }, 'file imported');
    },
    sourceKept({ error, ...file }) {
      logger.warn({ ...file, err: error }, 'the file is imported, but could not be marked or deleted');
    },
    tablesSwept(count) {
      swept.inc(count);
      if (count > 0) logger.info({ count }, 'dropped tables that an interrupted import had left');
    },
    expiredRemoved(rows) {
      if (rows > 0) logger.info({ rows }, 'removed what is kept no longer');
    },
    sweepFailed(error) {
      logger.warn({ err: error }, 'clearing away what is not needed failed: tried again later');
    },
  };
}
