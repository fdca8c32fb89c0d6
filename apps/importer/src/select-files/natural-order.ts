const runs = /\d+|\D+/g;

/**
 * Order of names as a person counts: `p_2.csv` before `p_10.csv`. Digit runs compare by value, everything else by
 * code unit, so the order is the same on every machine; names equal in that sense (`p_1`, `p_01`) order by code unit.
 */
export function compareNaturally(left: string, right: string): number {
  const leftRuns = left.match(runs) ?? [];
  const rightRuns = right.match(runs) ?? [];
  const shared = Math.min(leftRuns.length, rightRuns.length);
  for (let index = 0; index < shared; index += 1) {
    const order = compareRuns(leftRuns[index] ?? '', rightRuns[index] ?? '');
    if (order !== 0) return order;
  }
  return leftRuns.length - rightRuns.length || compareUnits(left, right);
}

function compareRuns(left: string, right: string): number {
  if (!isDigits(left) || !isDigits(right)) return compareUnits(left, right);
  // Digit runs may be longer than a number holds: the longer one, leading zeros aside, is the greater.
  const leftDigits = left.replace(/^0+(?=\d)/, '');
  const rightDigits = right.replace(/^0+(?=\d)/, '');
  return leftDigits.length - rightDigits.length || compareUnits(leftDigits, rightDigits);
}

function isDigits(run: string): boolean {
  const unit = run.charCodeAt(0);
  return unit >= 48 && unit <= 57;
}

function compareUnits(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
