import type { StagedUpdate, StagedWrite } from './stage-update.js';

/** What the items before have made of a property, as far as it matters to the next one. */
interface Standing {
  /** `filled`: set-if-empty acted on a value not known here. */
  state: 'filled' | 'cleared' | 'valued';
  /** The writes that count so far. */
  kept: { readonly line: number; readonly write: StagedWrite }[];
}

/**
 * Folding takes the parts of a profile's rows one after the other: fill, assign, append, increment. This leaves of the writes
 * of one profile, given in order, those with which that comes out as if each had acted in its turn: a value assigned
 * makes what went before pointless, and set-if-empty counts only where nothing stands yet.
 * @returns line -> its remaining writes
 */
export function orderWrites(
  updates: readonly { readonly line: number; readonly update: StagedUpdate }[],
): ReadonlyMap<number, readonly StagedWrite[]> {
  const properties = new Map<string, Standing>();
  for (const { line, update } of updates) {
    for (const write of update.writes) {
      const before = properties.get(write.property);
      const after = act(before, line, write);
      if (after !== before) properties.set(write.property, after);
    }
  }
  const remaining = new Map<number, StagedWrite[]>(updates.map(({ line }) => [line, []]));
  for (const { kept } of properties.values()) for (const { line, write } of kept) remaining.get(line)!.push(write);
  return remaining;
}

function act(before: Standing | undefined, line: number, write: StagedWrite): Standing {
  switch (write.part) {
    case 'assign':
      return { state: write.json === 'null' ? 'cleared' : 'valued', kept: [{ line, write }] };
    case 'fill':
      if (before === undefined) return { state: 'filled', kept: [{ line, write }] };
      if (before.state !== 'cleared') return before;
      return { state: 'valued', kept: [{ line, write: { ...write, part: 'assign' } }] };
    case 'append':
    case 'increment':
      return { state: 'valued', kept: [...(before?.kept ?? []), { line, write }] };
  }
}
