import { importCounts } from '@millrace/domain';
import {
  addCounts,
  appliedCounts,
  assertBalanced,
  noCounts,
  plannedCounts,
  stagedCounts,
  unfinishedCounts,
} from './counts.js';

const root = { rowsRead: 10, rowsRejected: 2, fieldsRejected: 1, rowsFiltered: 0, logged: [], columnsLeftOut: 0 };
const orders = { rowsRead: 7, rowsRejected: 1, fieldsRejected: 0, rowsFiltered: 0, logged: [], columnsLeftOut: 0 };
const staged = stagedCounts(root, [orders], { joined: 4, bridging: 0, superseded: 1, orphaned: 1 }, 99);
const status = { a: 5, e: 0, u: 1, x: 1, o: 1, m: 0, w: 0, g: 0, f: 0 };
const plan = { chunks: 2, rows: status, components: status, linkedRowsHeldBack: 0 };
const planned = plannedCounts(staged, plan);
const chunk = {
  created: 1,
  updated: 1,
  unchanged: 0,
  profilesCreated: 1,
  profilesUpdated: 1,
  profilesUnchanged: 0,
  moved: 0,
  events: 2,
  eventLines: 0,
  eventsConflicting: 0,
  linkedRows: 2,
};

describe('counts of an import', () => {
  it('hold linked rows for orphans until their chunk is applied', () => {
    expect(staged).toMatchObject({
      rowsRead: 10,
      rejected: 2,
      linkedRowsRead: 7,
      linkedRowsUsed: 0,
      linkedRowsOrphaned: 5,
    });
    expect(appliedCounts(planned, [chunk])).toMatchObject({ linkedRowsUsed: 2, linkedRowsOrphaned: 3 });
  });

  it('know the rows that the plan holds back, and the linked rows that hang on them', () => {
    const held = { ...plan, rows: { ...status, a: 4, g: 1 }, linkedRowsHeldBack: 2 };
    expect(plannedCounts(staged, held)).toMatchObject({
      skipped: { unmatched: 1, erased: 1 },
      linkedRowsWithheld: 2,
      linkedRowsOrphaned: 3,
    });
  });

  it('add up when every chunk is applied', () => {
    const last = { ...chunk, created: 2, unchanged: 0, updated: 1 };
    const whole = appliedCounts(planned, [chunk, last]);
    expect(whole).toMatchObject({ created: 3, updated: 2, ambiguous: 2, skipped: { unmatched: 1 } });
    expect(() => assertBalanced(whole)).not.toThrow();
  });

  it('count rows that turned out ambiguous in the final chunk', () => {
    expect(appliedCounts(planned, [{ ...chunk, ambiguous: 3 }]).ambiguous).toBe(5);
  });

  it('are refused when a row has no outcome', () => {
    expect(() => assertBalanced(appliedCounts(planned, [chunk]))).toThrow(
      'the outcomes of 7 rows are known, but 10 were read',
    );
  });

  it('of a run that ended early name the rows that were not applied', () => {
    const counts = unfinishedCounts(planned, [chunk]);
    expect(counts.skipped).toEqual({ unmatched: 1, 'not-applied': 3 });
    expect(() => assertBalanced(counts)).not.toThrow();
  });

  it('keep the last profiles of the last chunks, the latest first', () => {
    const id = (number: number): string => `0197a000-0000-7000-8000-00000000000${number}`;
    const [first, second, third] = [
      [1, 0],
      [4, 3, 2],
      [6, 5],
    ].map((numbers) => ({
      ...chunk,
      recent: { created: numbers.map(id), updated: [] },
    }));
    const before = appliedCounts(planned, [first!, second!]);
    expect(before.lastCreated).toEqual([4, 3, 2, 1, 0].map(id));
    expect(addCounts(before, appliedCounts(planned, [third!])).lastCreated).toEqual([6, 5, 4, 3, 2].map(id));
  });

  it('of several files are summed, reasons of skipping united', () => {
    const other = importCounts.parse({ files: 1, rowsRead: 2, skipped: { unmatched: 1, consent: 1 } });
    expect(addCounts(planned, other)).toMatchObject({ files: 2, rowsRead: 12, skipped: { unmatched: 2, consent: 1 } });
    expect(addCounts(noCounts, noCounts)).toEqual(noCounts);
  });
});
