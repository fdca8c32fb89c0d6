import { InputError, type DriftPolicy, type ImportProfilesGoal } from '@millrace/domain';
import { inputsOf, outputsOf, rowTimeColumn, type ColumnTolerance } from '@millrace/mapping';
import type { PlannedFile } from '../link-files/plan-links.js';

export interface SeenColumns {
  /** Of this file, as they stand; positions for names where it has no header. */
  readonly now: readonly string[];
  /** Of the last file of this kind that the goal imported, and its name. */
  readonly before: { readonly name: string; readonly columns: readonly string[] } | undefined;
  /** Columns of this file that the goal reads. */
  readonly read: readonly string[];
}

/** What is told; `fail` ends the import. */
export interface DriftFinding {
  readonly policy: 'fail' | 'warn';
  readonly message: string;
}

/**
 * Compares the columns of a file with those the goal reads and those the last imported file had. New columns are named by
 * position: where a header is taken for granted and is not there, their names are somebody's data.
 */
export function columnDrift(
  { now, before, read }: SeenColumns,
  drift: ImportProfilesGoal['columnDrift'],
): readonly DriftFinding[] {
  const present = new Set(now);
  const earlier = new Set(before?.columns);
  const wanted = new Set(read);
  const missing = [...new Set([...read, ...earlier])].filter((column) => !present.has(column));
  const positions = new Map<string, number>();
  const twice = new Set<string>();
  now.forEach((column, index) => {
    if (positions.has(column)) twice.add(column);
    else positions.set(column, index + 1);
  });
  const repeated = [...twice];
  const known = now.filter((column) => earlier.has(column));
  const order = (before?.columns ?? []).filter((column) => present.has(column));
  const isReordered = repeated.length === 0 && known.join('\0') !== order.join('\0');
  const added = before === undefined ? [] : now.flatMap((column, index) => (earlier.has(column) ? [] : [index + 1]));
  const since = before === undefined ? '' : ` since ${before.name}`;

  const findings: DriftFinding[] = [];
  const find = (policy: DriftPolicy, message: string, found: boolean): void => {
    if (found && policy !== 'ignore') findings.push({ policy, message });
  };
  const split = (
    columns: readonly string[],
    chosen: DriftPolicy | undefined,
    tell: (names: string) => string,
  ): void => {
    const isRead = columns.filter((column) => wanted.has(column));
    const others = columns.filter((column) => !wanted.has(column));
    // Without a choice reading the column fails, and says more.
    find(chosen ?? 'ignore', tell(listed(isRead.map(quoted))), isRead.length > 0);
    find(chosen ?? 'warn', tell(listed(others.map(nameOf))), others.length > 0);
  };
  const nameOf = (column: string): string =>
    earlier.has(column) ? quoted(column) : `in position ${positions.get(column) ?? 0}`;
  split(missing, drift.missing, (names) => `missing columns${since}: ${names}`);
  split(repeated, drift.duplicate, (names) => `columns whose name stands more than once: ${names}`);
  find(drift.new, `new columns${since}, in positions ${listed(added)}`, added.length > 0);
  find(drift.reordered, `the columns stand in another order than in ${before?.name ?? ''}`, isReordered);
  return findings;
}

/**
 * Ends the import where the goal wants that, and gives back what is only told.
 * @throws InputError `columns-drifted`
 */
export function judgeDrift(findings: readonly DriftFinding[]): readonly string[] {
  const failing = findings.filter(({ policy }) => policy === 'fail').map(({ message }) => message);
  if (failing.length > 0) {
    throw new InputError(
      'columns-drifted',
      `${failing.join('; ')}: nothing was imported; correct the file, or change the goal's mapping or its columnDrift`,
    );
  }
  return findings.map(({ message }) => message);
}

/** What reading columns puts up with, so that what is only told does not end the import. */
export function toleranceOf({ missing, duplicate }: ImportProfilesGoal['columnDrift']): ColumnTolerance {
  const tolerated = (policy: DriftPolicy | undefined): boolean => policy !== undefined && policy !== 'fail';
  return { missing: tolerated(missing), duplicate: tolerated(duplicate) };
}

/** The columns of one file of a set that the goal reads, without those its processors make. */
export function columnsRead(goal: ImportProfilesGoal, file: PlannedFile): readonly string[] {
  const made = new Set<string>();
  const read = new Set<string>();
  const reads = (...columns: readonly string[]): void => {
    for (const column of columns) if (!made.has(column)) read.add(column);
  };
  for (const processor of goal.processors.filter(({ file: alias }) => alias === file.alias)) {
    reads(...inputsOf(processor));
    for (const column of outputsOf(processor)) made.add(column);
  }
  if (file.link === undefined) {
    const flag = goal.deleteFlag === undefined ? [] : [goal.deleteFlag];
    const named = [...goal.matching.identifiers, ...goal.mappings, ...goal.consent, ...goal.groupLinks, ...flag];
    reads(...named.map(({ column }) => column));
    const time = rowTimeColumn(goal);
    if (time !== undefined) reads(time);
  } else reads(file.link.column);
  reads(...file.keyColumns);
  for (const { mapping } of file.events)
    reads(mapping.idColumn, mapping.occurredAtColumn, ...mapping.mappings.map(({ column }) => column));
  for (const { list } of file.lists) reads(...list.mappings.map(({ column }) => column));
  return [...read];
}

const listedColumns = 20;

/** A file may have a hundred thousand columns; a message names some. */
function listed(columns: readonly (string | number)[]): string {
  const more = columns.length - listedColumns;
  return `${columns.slice(0, listedColumns).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function quoted(column: string): string {
  return JSON.stringify(column);
}
