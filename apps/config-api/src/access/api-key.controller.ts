import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Post, Req } from '@nestjs/common';
import { z } from 'zod';
import type { ApiRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import {
  apiKeyView,
  createdApiKey,
  ManageApiKeys,
  newApiKey,
  type ApiKeyView,
  type CreatedApiKey,
} from './manage-api-keys.js';

@Controller('api/v1/api-keys')
export class ApiKeyController {
  readonly #keys: ManageApiKeys;

  constructor(@Inject(ManageApiKeys) keys: ManageApiKeys) {
    this.#keys = keys;
  }

  @Post()
  @operation({
    id: 'createApiKey',
    tag: 'API keys',
    summary: 'Make an API key',
    description:
      'A key hands out at most what it may do itself. `platform` covers everything everywhere, `admin` everything in one workspace.',
    access: 'admin',
    answer: { description: 'The key, shown this once', schema: createdApiKey },
    problems: { '404': 'No such workspace' },
  })
  async create(
    @Req() request: ApiRequest,
    @Body({ schema: newApiKey }) body: z.infer<typeof newApiKey>,
  ): Promise<CreatedApiKey> {
    return this.#keys.create(request.caller, body);
  }

  @Get()
  @operation({
    id: 'listApiKeys',
    tag: 'API keys',
    summary: 'List API keys, newest first',
    access: 'admin',
    answer: {
      description: 'Keys of the workspace, or all of them for a platform key',
      schema: z.object({ items: z.array(apiKeyView) }),
    },
  })
  async list(@Req() request: ApiRequest): Promise<{ items: readonly ApiKeyView[] }> {
    return { items: await this.#keys.list(request.caller) };
  }

  @Delete(':keyId')
  @HttpCode(204)
  @operation({
    id: 'deleteApiKey',
    tag: 'API keys',
    summary: 'Revoke an API key at once',
    access: 'admin',
    answer: { description: 'Revoked' },
    problems: { '404': 'No such key in reach' },
  })
  async delete(
    @Req() request: ApiRequest,
    @Param('keyId', { schema: pathParameters.keyId }) keyId: string,
  ): Promise<void> {
    await this.#keys.delete(request.caller, keyId);
  }
}
