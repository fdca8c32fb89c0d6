import { derivePseudonymKey } from './pseudonym-key.js';

const hex = (seed: number, workspaceId: number): string =>
  Buffer.from(derivePseudonymKey(new Uint8Array(32).fill(seed), workspaceId)).toString('hex');

it('derives one key of 32 bytes per sealing key and workspace', () => {
  expect(hex(1, 1)).toMatch(/^[0-9a-f]{64}$/);
  expect(hex(1, 1)).toBe(hex(1, 1));
  expect(new Set([hex(1, 1), hex(1, 2), hex(2, 1)]).size).toBe(3);
});
