import type { Database } from '@millrace/database';
import { workspace, type Workspace } from '@millrace/domain';
import { createWorkspace, listWorkspaces, type WorkspaceRecord } from '@millrace/profile-store';
import { Body, Controller, Get, Inject, Post, Req } from '@nestjs/common';
import { z } from 'zod';
import type { ApiRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { DATABASE } from '../tokens.js';

const newWorkspace = workspace.meta({ id: 'NewWorkspace' });
const workspaceView = workspace.extend({ createdAt: z.iso.datetime() }).meta({ id: 'Workspace' });
type WorkspaceView = z.infer<typeof workspaceView>;

@Controller('api/v1/workspaces')
export class WorkspaceController {
  readonly #database: Database;

  constructor(@Inject(DATABASE) database: Database) {
    this.#database = database;
  }

  @Post()
  @operation({
    id: 'createWorkspace',
    tag: 'Workspaces',
    summary: 'Make a workspace',
    description:
      'It starts with the identity namespaces `email`, `phone` and `customerId`, the event type `order` and the property `permissionLevel`.',
    access: 'platform',
    answer: { description: 'The workspace', schema: workspaceView },
    problems: { '409': 'The name is taken' },
  })
  async create(@Body({ schema: newWorkspace }) body: Workspace): Promise<WorkspaceView> {
    return viewOf(await createWorkspace(this.#database, body));
  }

  @Get()
  @operation({
    id: 'listWorkspaces',
    tag: 'Workspaces',
    summary: 'List the workspaces the key is good for',
    access: 'any-key',
    answer: { description: 'By name', schema: z.object({ items: z.array(workspaceView) }) },
  })
  async list(@Req() request: ApiRequest): Promise<{ items: WorkspaceView[] }> {
    const all = await listWorkspaces(this.#database);
    const { workspaceId } = request.caller;
    return { items: all.filter(({ id }) => workspaceId === null || id === workspaceId).map(viewOf) };
  }
}

function viewOf({ name, title, createdAt }: WorkspaceRecord): WorkspaceView {
  return { name, title, createdAt: createdAt.toISOString() };
}
