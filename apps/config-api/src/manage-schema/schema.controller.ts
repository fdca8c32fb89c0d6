import type { Database } from '@millrace/database';
import {
  eventType,
  identityNamespace,
  productFeed,
  property,
  type EventType,
  type IdentityNamespace,
  type ProductFeedDefinition,
  type Property,
} from '@millrace/domain';
import {
  createEventType,
  createNamespace,
  createProperty,
  listEventTypes,
  listNamespaces,
  listProperties,
  setProductFeed,
} from '@millrace/profile-store';
import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Post, Put, Req } from '@nestjs/common';
import { z } from 'zod';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { DATABASE } from '../tokens.js';
import { withoutNameClashes } from './event-type-names.js';

const propertySchema = property.meta({ id: 'Property' });
const namespaceSchema = identityNamespace.meta({ id: 'IdentityNamespace' });
const feedSchema = productFeed.meta({ id: 'ProductFeed' });
const eventTypeSchema = eventType.superRefine(withoutNameClashes).meta({ id: 'EventType' });

/** The parts profiles and events are made of. They are only ever added to: files, goals and segments rely on them. */
@Controller('api/v1/workspaces/:workspace')
export class SchemaController {
  readonly #database: Database;

  constructor(@Inject(DATABASE) database: Database) {
    this.#database = database;
  }

  @Get('properties')
  @operation({
    id: 'listProperties',
    tag: 'Schema',
    summary: 'List properties',
    access: 'config:read',
    answer: { description: 'By name', schema: z.object({ items: z.array(propertySchema) }) },
  })
  async listProperties(@Req() request: WorkspaceRequest): Promise<{ items: Property[] }> {
    const records = await listProperties(this.#database, request.workspace.id);
    return { items: records.map((record) => property.parse(record)) };
  }

  @Post('properties')
  @operation({
    id: 'createProperty',
    tag: 'Schema',
    summary: 'Add a property',
    description:
      'A dotted name nests in output, so no name may be a dotted prefix of another. A unique property is an identity namespace too.',
    access: 'config:write',
    answer: { description: 'The property', schema: propertySchema },
    problems: { '409': 'The name is taken' },
  })
  async createProperty(
    @Req() request: WorkspaceRequest,
    @Body({ schema: propertySchema }) body: Property,
  ): Promise<Property> {
    const created = await this.#database.transaction((tx) => createProperty(tx, request.workspace.id, body));
    return property.parse(created);
  }

  @Get('namespaces')
  @operation({
    id: 'listNamespaces',
    tag: 'Schema',
    summary: 'List identity namespaces',
    access: 'config:read',
    answer: { description: 'By code', schema: z.object({ items: z.array(namespaceSchema) }) },
  })
  async listNamespaces(@Req() request: WorkspaceRequest): Promise<{ items: IdentityNamespace[] }> {
    const records = await listNamespaces(this.#database, request.workspace.id);
    return { items: records.map((record) => identityNamespace.parse(record)) };
  }

  @Post('namespaces')
  @operation({
    id: 'createNamespace',
    tag: 'Schema',
    summary: 'Add an identity namespace',
    access: 'config:write',
    answer: { description: 'The namespace', schema: namespaceSchema },
    problems: { '409': 'The code is taken' },
  })
  async createNamespace(
    @Req() request: WorkspaceRequest,
    @Body({ schema: namespaceSchema }) body: IdentityNamespace,
  ): Promise<IdentityNamespace> {
    return identityNamespace.parse(await createNamespace(this.#database, request.workspace.id, body));
  }

  @Get('event-types')
  @operation({
    id: 'listEventTypes',
    tag: 'Schema',
    summary: 'List event types',
    access: 'config:read',
    answer: { description: 'By code', schema: z.object({ items: z.array(eventTypeSchema) }) },
  })
  async listEventTypes(@Req() request: WorkspaceRequest): Promise<{ items: EventType[] }> {
    const records = await listEventTypes(this.#database, request.workspace.id);
    return { items: records.map((record) => eventType.parse(record)) };
  }

  @Post('event-types')
  @operation({
    id: 'createEventType',
    tag: 'Schema',
    summary: 'Add an event type',
    access: 'config:write',
    answer: { description: 'The event type', schema: eventTypeSchema },
    problems: { '409': 'The code is taken' },
  })
  async createEventType(
    @Req() request: WorkspaceRequest,
    @Body({ schema: eventTypeSchema }) body: EventType,
  ): Promise<EventType> {
    const created = await this.#database.transaction(async (tx) => {
      const record = await createEventType(tx, request.workspace.id, body);
      if (body.products !== undefined) await setProductFeed(tx, request.workspace.id, body.code, body.products);
      return record;
    });
    return eventType.parse(created);
  }

  @Put('event-types/:eventType/products')
  @operation({
    id: 'setProductFeed',
    tag: 'Schema',
    summary: 'Feed the product store from the order lines of an event type',
    description:
      'Whatever brings the events from now on, a file or the ingestion API. What was bought is read from all events, those before included.',
    access: 'config:write',
    body: feedSchema,
    answer: { description: 'The event type', schema: eventTypeSchema },
    problems: { '404': 'No such event type' },
  })
  async setProducts(
    @Req() request: WorkspaceRequest,
    @Param('eventType', { schema: pathParameters.eventType }) code: string,
    @Body({ schema: feedSchema }) body: ProductFeedDefinition,
  ): Promise<EventType> {
    return this.#database.transaction((tx) => setProductFeed(tx, request.workspace.id, code, body));
  }

  @Delete('event-types/:eventType/products')
  @HttpCode(200)
  @operation({
    id: 'endProductFeed',
    tag: 'Schema',
    summary: 'Feed the product store no longer',
    description: 'Products stay as they were described last; goals that feed it themselves go on.',
    access: 'config:write',
    answer: { description: 'The event type', schema: eventTypeSchema },
    problems: { '404': 'No such event type' },
  })
  async endProducts(
    @Req() request: WorkspaceRequest,
    @Param('eventType', { schema: pathParameters.eventType }) code: string,
  ): Promise<EventType> {
    return this.#database.transaction((tx) => setProductFeed(tx, request.workspace.id, code, undefined));
  }
}
