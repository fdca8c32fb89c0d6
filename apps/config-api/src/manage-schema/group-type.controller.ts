import type { Database } from '@millrace/database';
import { groupProperty, groupType, type GroupProperty, type GroupType } from '@millrace/domain';
import { addGroupProperty, createGroupType, listGroupTypes } from '@millrace/profile-store';
import { Body, Controller, Get, HttpCode, Inject, Param, Post, Req } from '@nestjs/common';
import { z } from 'zod';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { DATABASE } from '../tokens.js';
import { checkNames } from './event-type-names.js';

const newGroupType = groupType
  .superRefine(({ properties }, context) => checkNames(['properties'], properties, context))
  .meta({ id: 'NewGroupType' });
const propertySchema = groupProperty.meta({ id: 'GroupProperty' });
// Types that the API of groups made on first use may have other codes.
const groupTypeView = groupType.extend({ code: z.string() }).meta({ id: 'GroupType' });

@Controller('api/v1/workspaces/:workspace/group-types')
export class GroupTypeController {
  readonly #database: Database;

  constructor(@Inject(DATABASE) database: Database) {
    this.#database = database;
  }

  @Get()
  @operation({
    id: 'listGroupTypes',
    tag: 'Schema',
    summary: 'List group types',
    access: 'config:read',
    answer: { description: 'By code', schema: z.object({ items: z.array(groupTypeView) }) },
  })
  async list(@Req() request: WorkspaceRequest): Promise<{ items: GroupType[] }> {
    return { items: [...(await listGroupTypes(this.#database, request.workspace.id))] };
  }

  @Post()
  @operation({
    id: 'createGroupType',
    tag: 'Schema',
    summary: 'Add a group type: household, company, account',
    description: 'Goals that import groups write the properties declared here.',
    access: 'config:write',
    answer: { description: 'The group type', schema: groupTypeView },
    problems: { '409': 'The code is taken' },
  })
  async create(@Req() request: WorkspaceRequest, @Body({ schema: newGroupType }) body: GroupType): Promise<GroupType> {
    return createGroupType(this.#database, request.workspace.id, body);
  }

  @Post(':groupType/properties')
  @HttpCode(200)
  @operation({
    id: 'addGroupProperty',
    tag: 'Schema',
    summary: 'Declare a further property of a group type',
    access: 'config:write',
    answer: { description: 'The group type', schema: groupTypeView },
    problems: { '404': 'No such group type', '409': 'The group type has this property already' },
  })
  async addProperty(
    @Req() request: WorkspaceRequest,
    @Param('groupType', { schema: pathParameters.groupType }) code: string,
    @Body({ schema: propertySchema }) body: GroupProperty,
  ): Promise<GroupType> {
    return addGroupProperty(this.#database, request.workspace.id, code, body);
  }
}
