import { z } from 'zod';
import { propertyName, propertyType } from './property.js';

const eventProperty = z.object({ name: propertyName, type: propertyType.default('string') });

/** Properties of a nested list of events. */
export const productFeed = z
  .strictObject({
    list: propertyName.describe('One of the nested lists; each of its rows is about one product'),
    id: propertyName,
    name: propertyName.optional(),
    quantity: propertyName.optional().describe('Counts for "most bought"; without it each row counts as one'),
    properties: z.array(propertyName).max(100).default([]).describe('Further ones to keep with the product'),
  })
  .describe('Feeds the product store from the order lines');
export type ProductFeedDefinition = z.infer<typeof productFeed>;

/** A kind of timeline event. `lists` are nested rows, such as the products of an order. */
export const eventType = z.object({
  code: z
    .string()
    .regex(
      /^[A-Za-z][A-Za-z0-9_-]{0,63}$/,
      'must start with a letter and hold only letters, digits, "_" and "-" (64 at most)',
    ),
  properties: z.array(eventProperty).default([]),
  lists: z.array(z.object({ name: propertyName, properties: z.array(eventProperty).min(1) })).default([]),
  interaction: propertyName
    .optional()
    .describe('Makes it an interaction type: the property that names the interaction a person has viewed'),
  products: productFeed.optional(),
});
export type EventType = z.infer<typeof eventType>;

/** Every workspace starts with it. */
export const orderEventType: EventType = {
  code: 'order',
  properties: [
    { name: 'total', type: 'decimal' },
    { name: 'currency', type: 'string' },
    { name: 'status', type: 'string' },
  ],
  lists: [
    {
      name: 'products',
      properties: [
        { name: 'productId', type: 'string' },
        { name: 'name', type: 'string' },
        { name: 'unitPrice', type: 'decimal' },
        { name: 'quantity', type: 'decimal' },
        { name: 'discount', type: 'decimal' },
      ],
    },
  ],
};
