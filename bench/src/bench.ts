/** One side of a comparison: seconds of one run, and the largest resident memory seen (of our worker, where there is one). */
export interface Sample {
  readonly seconds: number;
  readonly peakRssMiB?: number;
}

export interface BenchOptions {
  readonly rows: number;
  /** Counted runs of each side, in turn. */
  readonly runs: number;
  readonly segments: number;
  readonly parts: number;
  readonly goals: number;
  readonly say: (line: string) => void;
}

/** What the last line of every bench says; the medians of the runs. */
export interface BenchResult {
  readonly bench: string;
  readonly rows: number;
  readonly oursSeconds: number;
  readonly floorSeconds: number;
  /** oursSeconds / floorSeconds: below 1 is faster than the floor. */
  readonly ratio: number;
  readonly rowsPerSecond: number;
  readonly peakRssMiB: number;
  readonly [extra: string]: unknown;
}

/** What it says instead where this machine cannot show what is asked. */
export interface SkippedBench {
  readonly bench: string;
  readonly rows: number;
  readonly cores: number;
  /** Why. */
  readonly skipped: string;
}

export interface Bench {
  readonly about: string;
  run(options: BenchOptions): Promise<BenchResult | SkippedBench>;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Runs both sides in turn, ours first, so that a drift of the machine's speed meets both. */
export async function alternate(
  bench: string,
  { rows, runs, say }: BenchOptions,
  ours: () => Promise<Sample>,
  floor: () => Promise<Sample>,
): Promise<BenchResult> {
  const samples: { ours: Sample; floor: Sample }[] = [];
  for (let run = 1; run <= runs; run += 1) {
    const own = await ours();
    say(`run ${run} of ${runs}: ours ${own.seconds.toFixed(2)} s`);
    const base = await floor();
    say(`run ${run} of ${runs}: floor ${base.seconds.toFixed(2)} s`);
    samples.push({ ours: own, floor: base });
  }
  const oursSeconds = median(samples.map((sample) => sample.ours.seconds));
  const floorSeconds = median(samples.map((sample) => sample.floor.seconds));
  return {
    bench,
    rows,
    oursSeconds: round(oursSeconds, 3),
    floorSeconds: round(floorSeconds, 3),
    ratio: round(median(samples.map((sample) => sample.ours.seconds / sample.floor.seconds)), 3),
    rowsPerSecond: Math.round(rows / oursSeconds),
    peakRssMiB: Math.round(Math.max(...samples.map((sample) => sample.ours.peakRssMiB ?? 0))),
  };
}

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
