import { isAbove, percentOf, rowShares } from './row-shares.js';

describe('rowShares', () => {
  it('of an import are the rejected and ambiguous rows, and those skipped for any reason, of the rows read', () => {
    const counts = { rowsRead: 200, created: 180, rejected: 3, ambiguous: 2, skipped: { consent: 10, filtered: 5 } };
    expect(rowShares('import-profiles', counts)).toEqual([
      { event: 'rejected', rows: 5, of: 200 },
      { event: 'skipped', rows: 15, of: 200 },
    ]);
  });

  it('of an export are the withheld and filtered, of those due', () => {
    expect(rowShares('export-profiles', { rows: 90, withheld: 6, filtered: 4 })).toEqual([
      { event: 'skipped', rows: 10, of: 100 },
    ]);
  });

  it('are none where nothing was read or due: files imported before, an empty delta', () => {
    expect(rowShares('import-groups', { filesSkipped: 3 })).toEqual([]);
    expect(rowShares('export-profiles', {})).toEqual([]);
  });
});

describe('a share', () => {
  it('is judged exactly, and shown with two digits', () => {
    const share = { event: 'rejected', rows: 1001, of: 100_000 } as const;
    expect(isAbove(share, 1)).toBe(true);
    expect(percentOf(share)).toBe(1);
    expect(isAbove({ ...share, rows: 1000 }, 1)).toBe(false);
    expect(isAbove({ ...share, rows: 0 }, 0)).toBe(false);
    expect(isAbove({ ...share, rows: 1 }, 0)).toBe(true);
  });
});
