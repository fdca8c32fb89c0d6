import type { Database } from '@millrace/database';
import { segmentDefinition, type SegmentDefinition } from '@millrace/domain';
import { listSegments, segmentById, type SegmentRecord } from '@millrace/profile-store';
import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Post, Put, Req } from '@nestjs/common';
import { z } from 'zod';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { DATABASE } from '../tokens.js';
import { ManageSegments } from './manage-segments.js';

const definitionSchema = segmentDefinition.meta({ id: 'SegmentDefinition' });
const segmentView = segmentDefinition
  .extend({
    id: z.uuid(),
    version: z.int().describe('Raised by each change of the rule'),
    state: z
      .enum(['building', 'current'])
      .describe('`building`: memberships still follow the rule before this one (none, for a new segment)'),
    members: z.int().describe('Profiles in the segment now'),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'Segment' });
type SegmentView = z.infer<typeof segmentView>;

const segmentId = { schema: pathParameters.segmentId };
const noSegment = { '404': 'No such segment' };

@Controller('api/v1/workspaces/:workspace/segments')
export class SegmentController {
  readonly #database: Database;
  readonly #segments: ManageSegments;

  constructor(@Inject(DATABASE) database: Database, @Inject(ManageSegments) segments: ManageSegments) {
    this.#database = database;
    this.#segments = segments;
  }

  @Get()
  @operation({
    id: 'listSegments',
    tag: 'Segments',
    summary: 'List segments',
    access: 'config:read',
    answer: { description: 'By name', schema: z.object({ items: z.array(segmentView) }) },
  })
  async list(@Req() request: WorkspaceRequest): Promise<{ items: SegmentView[] }> {
    return { items: (await listSegments(this.#database, request.workspace.id)).map(viewOf) };
  }

  @Post()
  @operation({
    id: 'createSegment',
    tag: 'Segments',
    summary: 'Add a segment',
    description:
      'Its members are found in the background; from then on membership changes in the same moment as the profile.',
    access: 'config:write',
    answer: { description: 'The segment', schema: segmentView },
    problems: { '409': 'The name is taken' },
  })
  async create(
    @Req() request: WorkspaceRequest,
    @Body({ schema: definitionSchema }) body: SegmentDefinition,
  ): Promise<SegmentView> {
    return viewOf(await this.#segments.create(request.workspace.id, body));
  }

  @Get(':segmentId')
  @operation({
    id: 'getSegment',
    tag: 'Segments',
    summary: 'Show a segment',
    access: 'config:read',
    answer: { description: 'The segment', schema: segmentView },
    problems: noSegment,
  })
  async get(@Req() request: WorkspaceRequest, @Param('segmentId', segmentId) id: string): Promise<SegmentView> {
    return viewOf(await segmentById(this.#database, request.workspace.id, id));
  }

  @Put(':segmentId')
  @operation({
    id: 'replaceSegment',
    tag: 'Segments',
    summary: 'Replace the name and rule of a segment',
    description: 'Memberships by the old rule stand until those by the new one are complete, then they change at once.',
    access: 'config:write',
    answer: { description: 'The segment', schema: segmentView },
    problems: { ...noSegment, '409': 'The name is taken' },
  })
  async replace(
    @Req() request: WorkspaceRequest,
    @Param('segmentId', segmentId) id: string,
    @Body({ schema: definitionSchema }) body: SegmentDefinition,
  ): Promise<SegmentView> {
    return viewOf(await this.#segments.replace(request.workspace.id, id, body));
  }

  @Delete(':segmentId')
  @HttpCode(204)
  @operation({
    id: 'deleteSegment',
    tag: 'Segments',
    summary: 'Delete a segment and its memberships',
    access: 'config:write',
    answer: { description: 'Deleted' },
    problems: { ...noSegment, '409': 'Goals use it' },
  })
  async delete(@Req() request: WorkspaceRequest, @Param('segmentId', segmentId) id: string): Promise<void> {
    await this.#segments.delete(request.workspace.id, id);
  }
}

function viewOf({ createdAt, updatedAt, ...segment }: SegmentRecord): SegmentView {
  return { ...segment, createdAt: createdAt.toISOString(), updatedAt: updatedAt.toISOString() };
}
