import { maxPartBytes, maxParts, minPartBytes, partBytes, partsInFlight } from './part-plan.js';

const mebibyte = 1024 ** 2;
const gibibyte = 1024 ** 3;

function capacity(expectedBytes: number | undefined): number {
  let sum = 0;
  for (let number = 1; number <= maxParts; number += 1) sum += partBytes(number, expectedBytes);
  return sum;
}

describe('the plan of parts', () => {
  it('uses 8 MiB while that is enough', () => {
    expect(partBytes(1, undefined)).toBe(8 * mebibyte);
    expect(partBytes(1, 50 * gibibyte)).toBe(8 * mebibyte);
  });

  it.each([1, 8 * mebibyte, 35e9, 62.5 * gibibyte, 62.5 * gibibyte + 1, 500 * gibibyte, 5 * 1024 * gibibyte])(
    'holds an object of %d bytes in equal parts that S3 takes',
    (expectedBytes) => {
      const even = partBytes(1, expectedBytes);
      expect(even).toBeGreaterThanOrEqual(minPartBytes);
      expect(even).toBeLessThanOrEqual(maxPartBytes);
      expect(Math.ceil(expectedBytes / even)).toBeLessThanOrEqual(8000);
      expect(partBytes(8000, expectedBytes)).toBe(even);
      expect(partBytes(maxParts, expectedBytes)).toBeLessThanOrEqual(maxPartBytes);
    },
  );

  it('survives a bound that was much too low', () => {
    expect(capacity(100 * gibibyte)).toBeGreaterThan(280 * gibibyte);
    expect(capacity(undefined)).toBeGreaterThan(175 * gibibyte);
  });

  it('sends fewer large parts at once, to keep its buffers small', () => {
    expect(partsInFlight(8 * mebibyte)).toBe(3);
    expect(partsInFlight(20 * mebibyte)).toBe(2);
    expect(partsInFlight(600 * mebibyte)).toBe(1);
  });
});
