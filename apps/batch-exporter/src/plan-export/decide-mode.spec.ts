import { decideMode, type Watermark } from './decide-mode.js';
import type { StorePosition } from './export-plan.js';

const position: StorePosition = { snapshot: '20:20:', lsn: '0/1', systemIdentifier: '7', timeline: 1, epoch: 1 };
const watermark: Watermark = {
  snapshot: '10:10:',
  goalHash: 'h',
  systemIdentifier: '7',
  timeline: 1,
  epoch: 1,
  ahead: false,
};

describe('decideMode', () => {
  it('counts a delta from the watermark of the same goal in the same store', () => {
    expect(decideMode('delta', 'h', position, watermark)).toEqual({ mode: 'delta', since: '10:10:' });
  });

  it('gives no reason for a full export that was asked for', () => {
    expect(decideMode('full', 'h', position, watermark)).toEqual({ mode: 'full' });
  });

  it.each<[string, Watermark | undefined, RegExp]>([
    ['there is no watermark', undefined, /no export of this goal/],
    ['the goal changed', { ...watermark, goalHash: 'other' }, /goal changed/],
    ['the cluster is another', { ...watermark, systemIdentifier: '8' }, /another database cluster/],
    ['the timeline is another', { ...watermark, timeline: 2 }, /promoted or restored/],
    ['the epoch is another', { ...watermark, epoch: 2 }, /epoch differs/],
    ['the watermark lies ahead', { ...watermark, ahead: true }, /restored from an earlier state/],
  ])('runs in full and says why when %s', (_, found, reason) => {
    expect(decideMode('delta', 'h', position, found)).toEqual({
      mode: 'full',
      reason: expect.stringMatching(reason) as string,
    });
  });
});
