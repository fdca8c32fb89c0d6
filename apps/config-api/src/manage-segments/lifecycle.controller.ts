import type { Database } from '@millrace/database';
import { lifecycleDefinition, type LifecycleDefinition } from '@millrace/domain';
import { listLifecycles, putLifecycle, type LifecycleRecord } from '@millrace/profile-store';
import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Post, Put, Req } from '@nestjs/common';
import { z } from 'zod';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { DATABASE } from '../tokens.js';
import { deleteUnusedLifecycle } from './delete-lifecycle.js';

const definitionSchema = lifecycleDefinition.meta({ id: 'LifecycleDefinition' });
const lifecycleView = lifecycleDefinition.extend({ id: z.uuid() }).meta({ id: 'Lifecycle' });
const lifecycleId = { schema: pathParameters.lifecycleId };
const noLifecycle = { '404': 'No such lifecycle' };

/** A lifecycle holds no members of its own: a profile stands where the segments of its stages say. */
@Controller('api/v1/workspaces/:workspace/lifecycles')
export class LifecycleController {
  readonly #database: Database;

  constructor(@Inject(DATABASE) database: Database) {
    this.#database = database;
  }

  @Get()
  @operation({
    id: 'listLifecycles',
    tag: 'Segments',
    summary: 'List lifecycles',
    access: 'config:read',
    answer: { description: 'By name', schema: z.object({ items: z.array(lifecycleView) }) },
  })
  async list(@Req() request: WorkspaceRequest): Promise<{ items: LifecycleRecord[] }> {
    return { items: [...(await listLifecycles(this.#database, request.workspace.id))] };
  }

  @Post()
  @operation({
    id: 'createLifecycle',
    tag: 'Segments',
    summary: 'Add a lifecycle: stages in order, each a segment',
    description:
      'A profile stands in the last stage whose segment it is in. Export goals may write that stage in a column.',
    access: 'config:write',
    answer: { description: 'The lifecycle', schema: lifecycleView },
    problems: { '409': 'The name is taken' },
  })
  async create(
    @Req() request: WorkspaceRequest,
    @Body({ schema: definitionSchema }) body: LifecycleDefinition,
  ): Promise<LifecycleRecord> {
    return putLifecycle(this.#database, request.workspace.id, body);
  }

  @Put(':lifecycleId')
  @operation({
    id: 'replaceLifecycle',
    tag: 'Segments',
    summary: 'Replace the name and stages of a lifecycle',
    description: 'The next run of each export goal that writes its stage is a full one.',
    access: 'config:write',
    answer: { description: 'The lifecycle', schema: lifecycleView },
    problems: { ...noLifecycle, '409': 'The name is taken' },
  })
  async replace(
    @Req() request: WorkspaceRequest,
    @Param('lifecycleId', lifecycleId) id: string,
    @Body({ schema: definitionSchema }) body: LifecycleDefinition,
  ): Promise<LifecycleRecord> {
    return putLifecycle(this.#database, request.workspace.id, body, id);
  }

  @Delete(':lifecycleId')
  @HttpCode(204)
  @operation({
    id: 'deleteLifecycle',
    tag: 'Segments',
    summary: 'Delete a lifecycle; its segments stay',
    access: 'config:write',
    answer: { description: 'Deleted' },
    problems: { ...noLifecycle, '409': 'Goals use it' },
  })
  async delete(@Req() request: WorkspaceRequest, @Param('lifecycleId', lifecycleId) id: string): Promise<void> {
    await deleteUnusedLifecycle(this.#database, request.workspace.id, id);
  }
}
