import { prefixClash, type EventType } from '@millrace/domain';
import type { z } from 'zod';

type NamedThings = readonly { readonly name: string }[];

function firstRepeated(things: NamedThings): number {
  return things.findIndex(({ name }, index) => things.findIndex((other) => other.name === name) < index);
}

/** A refinement: names of one level differ, and none is a dotted prefix of another. */
export function withoutNameClashes(type: EventType, context: z.RefinementCtx): void {
  const complain = (path: PropertyKey[], message: string): void => {
    context.addIssue({ code: 'custom', path, message });
  };
  const checkLevel = (path: PropertyKey[], things: NamedThings): void => {
    const repeated = firstRepeated(things);
    if (repeated >= 0) complain([...path, repeated, 'name'], `stands here twice`);
    const clash = prefixClash(things.map(({ name }) => name));
    if (clash === undefined) return;
    const [shorter, longer] = clash;
    const index = things.findIndex(({ name }) => name === longer);
    complain(
      [...path, index, 'name'],
      `cannot stand beside ${JSON.stringify(shorter)}: one would be nested in the other`,
    );
  };
  checkLevel(['properties'], type.properties);
  checkLevel(['lists'], type.lists);
  type.lists.forEach((list, index) => checkLevel(['lists', index, 'properties'], list.properties));
}
