import type { Database } from '@millrace/database';
import { domainGroup, type DomainGroup } from '@millrace/domain';
import {
  createDomainGroup,
  listDomainGroups,
  renameDomainGroup,
  type DomainGroupRecord,
} from '@millrace/profile-store';
import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Post, Put, Req } from '@nestjs/common';
import { z } from 'zod';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { DATABASE } from '../tokens.js';
import { deleteUnusedDomainGroup } from './delete-domain-group.js';

const domainGroupBody = domainGroup.meta({ id: 'DomainGroupBody' });
const domainGroupView = domainGroup
  .extend({
    id: z.uuid(),
    default: z.boolean().describe('The one a workspace begins with: meant by whoever names none'),
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'DomainGroup' });
type DomainGroupView = z.infer<typeof domainGroupView>;
const domainGroupId = { schema: pathParameters.domainGroupId };
const noDomainGroup = { '404': 'No such domain group' };

/** Which profiles of a workspace an import or a batch of updates may match and create. */
@Controller('api/v1/workspaces/:workspace/domain-groups')
export class DomainGroupController {
  readonly #database: Database;

  constructor(@Inject(DATABASE) database: Database) {
    this.#database = database;
  }

  @Get()
  @operation({
    id: 'listDomainGroups',
    tag: 'Schema',
    summary: 'List domain groups',
    access: 'config:read',
    answer: { description: 'The default one, then by name', schema: z.object({ items: z.array(domainGroupView) }) },
  })
  async list(@Req() request: WorkspaceRequest): Promise<{ items: DomainGroupView[] }> {
    return { items: (await listDomainGroups(this.#database, request.workspace.id)).map(viewOf) };
  }

  @Post()
  @operation({
    id: 'createDomainGroup',
    tag: 'Schema',
    summary: 'Add a domain group: profiles that are matched and created apart',
    description:
      "The same identity may be one profile's in each domain group. Import goals and ingestion name the one they work in; " +
      'segments, exports and streams see the profiles of all.',
    access: 'config:write',
    answer: { description: 'The domain group', schema: domainGroupView },
    problems: { '409': 'The name is taken' },
  })
  async create(
    @Req() request: WorkspaceRequest,
    @Body({ schema: domainGroupBody }) body: DomainGroup,
  ): Promise<DomainGroupView> {
    return viewOf(await createDomainGroup(this.#database, request.workspace.id, body));
  }

  @Put(':domainGroupId')
  @operation({
    id: 'renameDomainGroup',
    tag: 'Schema',
    summary: 'Rename a domain group',
    description: 'Goals name it by its id: nothing is imported again.',
    access: 'config:write',
    answer: { description: 'The domain group', schema: domainGroupView },
    problems: { ...noDomainGroup, '409': 'The name is taken' },
  })
  async rename(
    @Req() request: WorkspaceRequest,
    @Param('domainGroupId', domainGroupId) id: string,
    @Body({ schema: domainGroupBody }) body: DomainGroup,
  ): Promise<DomainGroupView> {
    return viewOf(await renameDomainGroup(this.#database, request.workspace.id, id, body));
  }

  @Delete(':domainGroupId')
  @HttpCode(204)
  @operation({
    id: 'deleteDomainGroup',
    tag: 'Schema',
    summary: 'Delete a domain group that no profile and no goal uses',
    access: 'config:write',
    answer: { description: 'Deleted' },
    problems: { ...noDomainGroup, '409': 'It is the default one, or profiles or goals use it' },
  })
  async delete(@Req() request: WorkspaceRequest, @Param('domainGroupId', domainGroupId) id: string): Promise<void> {
    await deleteUnusedDomainGroup(this.#database, request.workspace.id, id);
  }
}

function viewOf({ createdAt, ...group }: DomainGroupRecord): DomainGroupView {
  return { ...group, createdAt: createdAt.toISOString() };
}
