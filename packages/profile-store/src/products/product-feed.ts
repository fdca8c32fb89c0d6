import { sql, type Transaction } from '@millrace/database';
import { InputError, type EventType, type ProductFeedDefinition } from '@millrace/domain';
import { lockDefinitions } from '../definitions/lock-definitions.js';
import { nameLists } from '../merge/feed-products.js';

/**
 * From now on whoever writes events of a type feeds the product store from one of its nested lists, or, without `feed`, only goals that
 * say so themselves.
 * @throws InputError `event-type-not-found`, `product-feed-unfit` naming the field
 */
export async function setProductFeed(
  tx: Transaction,
  workspaceId: number,
  code: string,
  feed: ProductFeedDefinition | undefined,
): Promise<EventType> {
  await lockDefinitions(tx, workspaceId, 'exclusive');
  const { rows } = await tx.query<{ id: number; definition: string }>(
    sql`SELECT id, definition FROM profile.event_type WHERE workspace_id = ${workspaceId} AND code = ${code}`,
  );
  const [found] = rows;
  if (found === undefined)
    throw new InputError('event-type-not-found', `the workspace has no event type ${JSON.stringify(code)}`);
  const { products: _before, ...definition } = JSON.parse(found.definition) as EventType;
  if (feed !== undefined) checkFit(definition, feed);
  const changed: EventType = feed === undefined ? definition : { ...definition, products: feed };
  await tx.query(
    sql`UPDATE profile.event_type SET definition = ${JSON.stringify(changed)}::jsonb WHERE id = ${found.id}::int`,
  );
  if (feed !== undefined) await nameLists(tx, [{ eventTypeId: found.id, ...feed }]);
  return changed;
}

function checkFit({ code, lists }: EventType, { list, id, name, quantity, properties }: ProductFeedDefinition): void {
  const refuse = (at: string, message: string): never => {
    throw new InputError('product-feed-unfit', `${at}: ${message}`, { at });
  };
  const known = lists.find((each) => each.name === list)?.properties;
  if (known === undefined)
    return refuse(
      'list',
      `the event type ${JSON.stringify(code)} has no list ${JSON.stringify(list)}: it has ${lists.map((each) => JSON.stringify(each.name)).join(', ') || 'none'}`,
    );
  const named: readonly (readonly [string, string | undefined])[] = [
    ['id', id],
    ['name', name],
    ['quantity', quantity],
    ...properties.map((property, index) => [`properties.${index}`, property] as const),
  ];
  for (const [at, property] of named) {
    if (property === undefined || known.some((each) => each.name === property)) continue;
    refuse(at, `the list ${JSON.stringify(list)} has no property ${JSON.stringify(property)}`);
  }
  const counted = known.find((each) => each.name === quantity)?.type;
  if (counted !== undefined && counted !== 'integer' && counted !== 'decimal')
    refuse('quantity', `must be a number, and ${JSON.stringify(quantity)} is a ${counted}`);
}
