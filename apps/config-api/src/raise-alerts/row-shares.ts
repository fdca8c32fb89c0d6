import { exportCounts, importCounts } from '@millrace/domain';

/** Rows that did not go where they were meant to, of all there were. */
export interface RowShare {
  readonly event: 'rejected' | 'skipped';
  readonly rows: number;
  readonly of: number;
}

/**
 * The shares alerts judge. An import: rejected and ambiguous rows, and skipped ones for any reason, of the rows read. An export: what was
 * withheld or dropped by a processor, of what was due. None where there was nothing to judge.
 */
export function rowShares(kind: string, counts: Readonly<Record<string, unknown>>): readonly RowShare[] {
  if (kind === 'export-profiles') {
    const { rows, withheld = 0, filtered = 0 } = exportCounts.parse(counts);
    const skipped = withheld + filtered;
    return shares([['skipped', skipped]], rows + skipped);
  }
  const { rowsRead, rejected, ambiguous, skipped } = importCounts.parse(counts);
  const skippedRows = Object.values(skipped).reduce((sum, count) => sum + count, 0);
  return shares(
    [
      ['rejected', rejected + ambiguous],
      ['skipped', skippedRows],
    ],
    rowsRead,
  );
}

function shares(rows: readonly (readonly [RowShare['event'], number])[], of: number): readonly RowShare[] {
  return of === 0 ? [] : rows.map(([event, count]) => ({ event, rows: count, of }));
}

/** In percent, with two digits at most. */
export function percentOf({ rows, of }: RowShare): number {
  return Math.round((rows / of) * 10_000) / 100;
}

/** Judged on the rows themselves: a share that only rounds to the limit is above it. */
export function isAbove({ rows, of }: RowShare, percent: number): boolean {
  return rows * 100 > percent * of;
}
