import { compareNaturally } from './natural-order.js';

const sorted = (...names: string[]): string[] => [...names].sort(compareNaturally);

describe('compareNaturally', () => {
  it('counts digits by value', () => {
    expect(sorted('p_10.csv', 'p_9.csv', 'p_2.csv')).toEqual(['p_2.csv', 'p_9.csv', 'p_10.csv']);
  });

  it('compares digit runs longer than a number holds', () => {
    expect(sorted('p_100000000000000000000001', 'p_99999999999999999999999')).toEqual([
      'p_99999999999999999999999',
      'p_100000000000000000000001',
    ]);
  });

  it('orders equal values by their leading zeros, always the same way', () => {
    expect(sorted('p_1', 'p_01')).toEqual(sorted('p_01', 'p_1'));
  });

  it('orders by every run, not only the first', () => {
    expect(sorted('2024-11-2', '2024-2-11', '2024-2-3')).toEqual(['2024-2-3', '2024-2-11', '2024-11-2']);
  });

  it('puts a name before its own continuation', () => {
    expect(sorted('ab', 'a')).toEqual(['a', 'ab']);
  });

  it('puts digits before letters', () => {
    expect(sorted('a', '1')).toEqual(['1', 'a']);
  });
});
