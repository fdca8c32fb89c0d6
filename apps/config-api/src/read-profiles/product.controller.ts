import type { Database } from '@millrace/database';
import { InputError } from '@millrace/domain';
import { boughtProducts, productById } from '@millrace/profile-store';
import { Controller, Get, Header, Inject, Param, Query, Req } from '@nestjs/common';
import { z } from 'zod';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { DATABASE } from '../tokens.js';

const productView = z
  .object({
    id: z.string(),
    name: z.string().nullable(),
    properties: z.record(z.string(), z.unknown()),
    describedAt: z.iso.datetime().describe('Time of the order that described it last'),
  })
  .meta({ id: 'Product' });

const boughtProduct = z
  .object({
    id: z.string(),
    name: z.string().nullable(),
    quantity: z.number().describe('Over all orders; a row without a quantity counts as one'),
    orders: z.int(),
    lastBoughtAt: z.iso.datetime(),
  })
  .meta({ id: 'BoughtProduct' });

const boughtQuery = z.object({
  order: z.enum(['most-bought', 'most-recent']).default('most-bought'),
  limit: z.coerce.number().int().min(1).max(100).default(10),
});
type BoughtQuery = z.infer<typeof boughtQuery>;

@Controller('api/v1/workspaces/:workspace')
export class ProductController {
  readonly #database: Database;

  constructor(@Inject(DATABASE) database: Database) {
    this.#database = database;
  }

  @Get('products/:productId')
  @Header('content-type', 'application/json; charset=utf-8')
  @operation({
    id: 'getProduct',
    tag: 'Profiles',
    summary: 'Show a product as the latest order line described it',
    description: 'Products come from the order lines of import goals that say so (`events.products`).',
    access: 'profile:read',
    answer: { description: 'The product', schema: productView },
    problems: { '404': 'No such product' },
  })
  async get(
    @Req() request: WorkspaceRequest,
    @Param('productId', { schema: pathParameters.productId }) id: string,
  ): Promise<string> {
    const product = await productById(this.#database, request.workspace.id, id);
    if (product === undefined) throw new InputError('product-not-found', 'there is no such product in this workspace');
    return product;
  }

  @Get('profiles/:profileId/products')
  @Header('content-type', 'application/json; charset=utf-8')
  @operation({
    id: 'listBoughtProducts',
    tag: 'Profiles',
    summary: 'List the products a profile has bought most, or most recently',
    access: 'profile:read',
    answer: { description: 'In the order asked for', schema: z.object({ items: z.array(boughtProduct) }) },
    problems: { '404': 'No such profile' },
  })
  async bought(
    @Req() request: WorkspaceRequest,
    @Param('profileId', { schema: pathParameters.profileId }) profileId: string,
    @Query({ schema: boughtQuery }) query: BoughtQuery,
  ): Promise<string> {
    const items = await boughtProducts(this.#database, request.workspace.id, profileId, query);
    if (items === undefined) throw new InputError('profile-not-found', 'there is no such profile in this workspace');
    return `{"items":${items}}`;
  }
}
