/** Why a profile is due, as bits of `publisher.delivery.reasons`. Stored: never renumbered. */
export const reason = {
  segment: 1,
  identity: 2,
  attribute: 4,
  consent: 8,
  backfill: 16,
  replay: 32,
  erasure: 64,
} as const;
type Reason = keyof typeof reason;

/** The names of the bits set, in the order of their numbers. */
export function reasonNames(bits: number): readonly Reason[] {
  return (Object.keys(reason) as Reason[]).filter((name) => (bits & reason[name]) !== 0);
}
