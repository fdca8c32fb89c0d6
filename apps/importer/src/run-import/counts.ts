import { importCounts, type ImportCounts } from '@millrace/domain';
import {
  recentOfEach,
  type ChunkCounts,
  type MovedCounts,
  type PlanSummary,
  type RecentProfiles,
} from '@millrace/profile-store';
import type { LinkCounts } from '../link-files/link-events.js';
import type { FieldTally } from '../stage-file/row-encoders.js';
import type { RowTally } from '../stage-file/stage-object.js';

export const noCounts: ImportCounts = importCounts.parse({});

/** Member-wise sum; reasons of skipping are united. `right` is what came later. */
export function addCounts(left: ImportCounts, right: ImportCounts): ImportCounts {
  const sum: Record<string, unknown> = {};
  for (const name of Object.keys(noCounts) as (keyof ImportCounts)[]) {
    const [before, after] = [left[name], right[name]];
    if (typeof before === 'number' && typeof after === 'number') sum[name] = before + after;
  }
  return importCounts.parse({
    ...sum,
    skipped: united(left.skipped, right.skipped),
    lastCreated: latest([...right.lastCreated, ...left.lastCreated]),
    lastUpdated: latest([...right.lastUpdated, ...left.lastUpdated]),
  });
}

function latest(ids: readonly string[]): string[] {
  return [...new Set(ids)].slice(0, recentOfEach);
}

function united(left: ImportCounts['skipped'], right: ImportCounts['skipped']): ImportCounts['skipped'] {
  const skipped = { ...left };
  for (const [reason, count] of Object.entries(right))
    if (count !== 0) skipped[reason] = (skipped[reason] ?? 0) + count;
  return Object.fromEntries(Object.entries(skipped).filter(([, count]) => count !== 0));
}

/** The ledger of fields. */
export function fieldCounts(
  tally: FieldTally | undefined,
): Pick<ImportCounts, 'fieldsMapped' | 'fieldsWithValue' | 'fieldsEmpty' | 'fieldsLeftOut'> {
  const { mapped, withValue, empty, leftOut } = tally ?? { mapped: 0, withValue: 0, empty: 0, leftOut: 0 };
  return { fieldsMapped: mapped, fieldsWithValue: withValue, fieldsEmpty: empty, fieldsLeftOut: leftOut };
}

/** After staging: what was read and rejected. Linked rows count as orphaned until the chunk of their event is applied. */
export function stagedCounts(
  root: RowTally,
  linked: readonly RowTally[],
  links: LinkCounts | undefined,
  bytes: number,
): ImportCounts {
  const sum = (pick: (staged: RowTally) => number): number => linked.reduce((total, staged) => total + pick(staged), 0);
  return {
    ...noCounts,
    files: 1,
    bytes,
    rowsRead: root.rowsRead,
    rejected: root.rowsRejected,
    skipped: root.rowsFiltered === 0 ? {} : { filtered: root.rowsFiltered },
    fieldsRejected: root.fieldsRejected + sum((staged) => staged.fieldsRejected),
    ...fieldCounts(root.fields),
    linkedRowsRead: sum((staged) => staged.rowsRead),
    linkedRowsRejected: sum((staged) => staged.rowsRejected),
    linkedRowsFiltered: sum((staged) => staged.rowsFiltered),
    linkedRowsUsed: links?.bridging ?? 0,
    linkedRowsSuperseded: links?.superseded ?? 0,
    linkedRowsOrphaned: (links?.orphaned ?? 0) + (links?.joined ?? 0),
  };
}

/** After resolving: rows that will not be applied. */
export function plannedCounts(staged: ImportCounts, plan: PlanSummary): ImportCounts {
  return {
    ...staged,
    ambiguous: plan.rows.x + plan.rows.o,
    skipped: united(staged.skipped, { unmatched: plan.rows.u, erased: plan.rows.g }),
    linkedRowsWithheld: staged.linkedRowsWithheld + plan.linkedRowsHeldBack,
    linkedRowsOrphaned: staged.linkedRowsOrphaned - plan.linkedRowsHeldBack,
  };
}

/** What a chunk did, with examples. */
export type CountedChunk = (ChunkCounts | MovedCounts) & { readonly recent?: RecentProfiles };

/** The whole of a file so far: what its plan says, and what its applied chunks did, in their order. */
export function appliedCounts(planned: ImportCounts, chunks: readonly CountedChunk[]): ImportCounts {
  const sum = (pick: (counts: ChunkCounts | MovedCounts) => number | undefined): number =>
    chunks.reduce((total, counts) => total + (pick(counts) ?? 0), 0);
  const recent = chunks.map((chunk) => chunk.recent).reverse();
  const linkedRows = sum((counts) => counts.linkedRows);
  const heldBack = sum((counts) => counts.linkedRowsHeldBack);
  const skipped = {
    unmatched: sum((counts) => ('unmatched' in counts ? counts.unmatched : 0)),
    consent: sum((counts) => counts.withheld),
    erased: sum((counts) => counts.erasedBefore),
  };
  return {
    ...planned,
    created: sum((counts) => counts.created),
    updated: sum((counts) => counts.updated),
    unchanged: sum((counts) => counts.unchanged),
    erased: sum((counts) => counts.erased),
    ambiguous: planned.ambiguous + sum((counts) => ('ambiguous' in counts ? counts.ambiguous : 0)),
    skipped: united(planned.skipped, skipped),
    rejected: planned.rejected + sum((counts) => counts.otherUnit),
    profilesCreated: sum((counts) => counts.profilesCreated),
    profilesUpdated: sum((counts) => counts.profilesUpdated),
    profilesUnchanged: sum((counts) => counts.profilesUnchanged),
    profilesErased: sum((counts) => counts.profilesErased),
    lastCreated: latest(recent.flatMap((profiles) => profiles?.created ?? [])),
    lastUpdated: latest(recent.flatMap((profiles) => profiles?.updated ?? [])),
    groupsCreated: sum((counts) => counts.groupsCreated),
    groupsUpdated: sum((counts) => counts.groupsUpdated),
    groupsUnchanged: sum((counts) => counts.groupsUnchanged),
    groupsErased: sum((counts) => counts.groupsErased),
    groupsUnlinked: sum((counts) => counts.groupsUnlinked),
    groupsLinked: sum((counts) => counts.groupsLinked),
    groupsUnknown: sum((counts) => counts.groupsUnknown),
    products: sum((counts) => counts.products),
    linkedRowsUsed: planned.linkedRowsUsed + linkedRows,
    linkedRowsWithheld: planned.linkedRowsWithheld + heldBack,
    linkedRowsOrphaned: planned.linkedRowsOrphaned - linkedRows - heldBack,
    events: sum((counts) => counts.events),
    eventLines: sum((counts) => counts.eventLines),
  };
}

/** A file that failed or was cancelled on its way: rows that nothing happened to yet are skipped as not applied. */
export function unfinishedCounts(planned: ImportCounts, chunks: readonly CountedChunk[]): ImportCounts {
  const counts = appliedCounts(planned, chunks);
  const open = counts.rowsRead - knownRows(counts);
  return open === 0 ? counts : { ...counts, skipped: { ...counts.skipped, 'not-applied': open } };
}

function knownRows({ created, updated, unchanged, erased, skipped, ambiguous, rejected }: ImportCounts): number {
  return (
    created +
    updated +
    unchanged +
    erased +
    Object.values(skipped).reduce((total, count) => total + count, 0) +
    ambiguous +
    rejected
  );
}

/** Rows of the root file that lie in staging: those read, without what reading it dropped. */
export function stagedRows({ rowsRead, rejected, skipped }: ImportCounts): number {
  return rowsRead - rejected - (skipped.filtered ?? 0);
}

/** Every row has exactly one outcome. @throws Error, a bug, where the sums do not agree */
export function assertBalanced(counts: ImportCounts): void {
  const rows = knownRows(counts);
  if (rows !== counts.rowsRead)
    throw new Error(`the outcomes of ${rows} rows are known, but ${counts.rowsRead} were read`);
  const fields = counts.fieldsWithValue + counts.fieldsEmpty + counts.fieldsLeftOut;
  if (fields !== counts.fieldsMapped)
    throw new Error(`${fields} fields are known to have a value or none, but ${counts.fieldsMapped} are mapped`);
  const linked =
    counts.linkedRowsUsed +
    counts.linkedRowsWithheld +
    counts.linkedRowsOrphaned +
    counts.linkedRowsRejected +
    counts.linkedRowsFiltered +
    counts.linkedRowsSuperseded;
  if (linked !== counts.linkedRowsRead || counts.linkedRowsOrphaned < 0 || counts.linkedRowsSuperseded < 0) {
    throw new Error(`the outcomes of ${linked} linked rows are known, but ${counts.linkedRowsRead} were read`);
  }
}
