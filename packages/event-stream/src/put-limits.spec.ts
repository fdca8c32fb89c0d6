import { partitionKeyOf, recordBytes, splitBatches } from './put-limits.js';

const record = (bytes: number, partitionKey = 'k') => ({ data: Buffer.alloc(bytes), partitionKey });

describe('splitBatches', () => {
  it('keeps the order and fills each batch', () => {
    const records = Array.from({ length: 1201 }, (_, index) => record(1, `k${index}`));
    const batches = splitBatches(records);
    expect(batches.map((batch) => batch.length)).toEqual([500, 500, 201]);
    expect(batches.flat()).toEqual(records);
  });

  it('counts keys, in bytes, against the size of a request', () => {
    expect(recordBytes(record(10, 'ä'))).toBe(12);
    const batches = splitBatches([record(8, 'kk'), record(8, 'kk'), record(8, 'kk')], { bytes: 20 });
    expect(batches.map((batch) => batch.length)).toEqual([2, 1]);
  });

  it('lets a record that is too large travel along, without counting it', () => {
    const batches = splitBatches([record(9), record(500), record(9)], { bytes: 20, recordBytes: 20 });
    expect(batches.map((batch) => batch.length)).toEqual([3]);
  });

  it('makes no batch of nothing', () => {
    expect(splitBatches([])).toEqual([]);
  });
});

describe('partitionKeyOf', () => {
  it('leaves a possible key as it is', () => {
    expect(partitionKeyOf('customer-1')).toBe('customer-1');
    expect(partitionKeyOf('k'.repeat(256))).toBe('k'.repeat(256));
  });

  it('hashes a longer one, and an empty one, always to the same key', () => {
    expect(partitionKeyOf('k'.repeat(257))).toMatch(/^[0-9a-f]{64}$/);
    expect(partitionKeyOf('k'.repeat(257))).toBe(partitionKeyOf('k'.repeat(257)));
    expect(partitionKeyOf('')).toHaveLength(64);
  });
});
