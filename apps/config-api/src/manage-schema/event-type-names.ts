import { prefixClash, type EventType } from '@millrace/domain';
import type { z } from 'zod';

type NamedThings = readonly { readonly name: string }[];

function firstRepeated(things: NamedThings): number {
  return things.findIndex(({ name }, index) => things.findIndex((other) => other.name === name) < index);
}

/** A refinement of a list of named things: their names differ, and none is a dotted prefix of another. */
export function checkNames(path: PropertyKey[], things: NamedThings, context: z.RefinementCtx): void {
  const complain = (at: PropertyKey[], message: string): void => {
    context.addIssue({ code: 'custom', path: at, message });
  };
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
}

/** A refinement: names of one level differ, and none is a dotted prefix of another; what names an interaction is there. */
export function withoutNameClashes(type: EventType, context: z.RefinementCtx): void {
  checkNames(['properties'], type.properties, context);
  checkNames(['lists'], type.lists, context);
  type.lists.forEach((list, index) => checkNames(['lists', index, 'properties'], list.properties, context));
  if (type.interaction !== undefined && !type.properties.some(({ name }) => name === type.interaction)) {
    context.addIssue({ code: 'custom', path: ['interaction'], message: 'must be the name of one of its properties' });
  }
}
