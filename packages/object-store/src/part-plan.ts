const mebibyte = 1024 * 1024;

export const maxParts = 10_000;
/** S3's bounds for a part; the last one may be smaller. */
export const minPartBytes = 5 * mebibyte;
export const maxPartBytes = 5 * 1024 * mebibyte;
const defaultPartBytes = 8 * mebibyte;

const evenParts = 8_000;
const partsPerDoubling = 500;

/**
 * How many bytes part `partNumber` (from 1) holds. The first 8,000 parts have one size, chosen so that
 * `expectedBytes` fits into them: services that want parts of equal size get them. Beyond that the sizes double every
 * 500 parts, so that an upload which outgrows its bound three times over still ends within the 10,000 parts S3
 * allows, instead of failing after everything was sent.
 */
export function partBytes(partNumber: number, expectedBytes: number | undefined, smallest = defaultPartBytes): number {
  const even = Math.max(smallest, Math.ceil((expectedBytes ?? 0) / evenParts / mebibyte) * mebibyte);
  if (partNumber <= evenParts) return even;
  return Math.min(maxPartBytes, even * 2 ** Math.ceil((partNumber - evenParts) / partsPerDoubling));
}

const bufferBudgetBytes = 64 * mebibyte;

/** Parts sent side by side: three of the usual size, fewer of large ones, so that buffers stay within bounds. */
export function partsInFlight(bytesPerPart: number): number {
  return Math.max(1, Math.min(3, Math.floor(bufferBudgetBytes / bytesPerPart) - 1));
}
