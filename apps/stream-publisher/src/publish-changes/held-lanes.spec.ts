import type { Lease } from '@millrace/job-queue';
import { heldLanes, laneResources } from './held-lanes.js';

function leases(lanes: readonly number[], remainingMs: number): ReadonlyMap<string, Lease> {
  const endsAtMs = performance.now() + remainingMs;
  return new Map(
    lanes.map((lane) => {
      const resource = laneResources[lane] as string;
      return [resource, { id: String(lane), resource, token: '1', owner: 'me', ttlMs: 3000, endsAtMs }];
    }),
  );
}

describe('heldLanes', () => {
  it('gives every lane to exactly one slot, always the same', () => {
    const held = leases([0, 1, 2, 3, 5, 8, 255], 1000);
    const slots = [0, 1, 2, 3].map((slot) => heldLanes(held, slot, 4).lanes);
    expect(slots).toEqual([[0, 8], [1, 5], [2], [3, 255]]);
  });

  it('lets a request start only while every lane concerned is held for longer than it may take', () => {
    const held = heldLanes(new Map([...leases([0, 4], 2000), ...leases([8], 1000)]), 0, 4);
    expect(held.outlast([0, 4], 1500)).toBe(true);
    expect(held.outlast([0, 8], 1500)).toBe(false);
    expect(held.outlast([12], 0)).toBe(false);
  });
});
