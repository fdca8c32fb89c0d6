import type { Lease } from '@millrace/job-queue';

/** A stored constant: `profile.lane` gives each profile one of these. */
const laneCount = 256;

export const laneResources: readonly string[] = Array.from({ length: laneCount }, (_, lane) => `lane:${lane}`);

export function laneOf(resource: string): number {
  return Number(resource.slice('lane:'.length));
}

/** The lanes one slot may work on at this moment. */
export interface HeldLanes {
  readonly lanes: readonly number[];
  /** Whether all these lanes stay held for so long. */
  outlast(lanes: readonly number[], milliseconds: number): boolean;
}

/** Slot `slot` of `slots` has every lane whose number leaves that remainder: a lane never changes its slot. */
export function heldLanes(leases: ReadonlyMap<string, Lease>, slot: number, slots: number): HeldLanes {
  const ends = new Map<number, number>();
  for (const [resource, lease] of leases) {
    const lane = laneOf(resource);
    if (lane % slots === slot) ends.set(lane, lease.endsAtMs);
  }
  return {
    lanes: [...ends.keys()],
    outlast(lanes, milliseconds) {
      const until = performance.now() + milliseconds;
      return lanes.every((lane) => (ends.get(lane) ?? 0) > until);
    },
  };
}
