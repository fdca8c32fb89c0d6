import { defaultNamespaces, orderEventType, type PropertyType } from '@millrace/domain';
import type { Catalogue, CatalogueProperty } from '../src/index.js';

/** A workspace with the default namespaces, the event type `order`, one group type and the given properties. */
export function catalogueWith(properties: Readonly<Record<string, PropertyType | `${PropertyType}[]`>>): Catalogue {
  return {
    workspaceId: 1,
    domainGroupId: 1,
    domainGroups: new Map(),
    properties: new Map(
      Object.entries(properties).map(([name, type], index): [string, CatalogueProperty] => [
        name,
        { id: index + 1, name, type: type.replace('[]', '') as PropertyType, list: type.endsWith('[]') },
      ]),
    ),
    namespaces: new Map(defaultNamespaces.map((namespace, index) => [namespace.code, { id: index + 1, ...namespace }])),
    eventTypes: new Map([['order', { id: 1, definition: orderEventType }]]),
    groupTypes: new Map([['company', { id: 1, properties: new Map() }]]),
    lifecycles: new Map(),
    segments: new Map(),
  };
}
