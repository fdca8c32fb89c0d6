import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Patch, Post, Put, Req } from '@nestjs/common';
import { type Goal, goal as goalSchema } from '@millrace/domain';
import { z } from 'zod';
import { requireActivation } from '../access/activation.js';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { ManageConnections } from '../manage-connections/manage-connections.js';
import { tryStreamGoal, type Drivers } from '../manage-connections/try-connection.js';
import { DRIVERS } from '../tokens.js';
import { goalChange, goalOrder, goalView, newGoal, viewOfGoal, type GoalChange, type GoalView } from './goal-views.js';
import { ManageGoals, type SavedGoal } from './manage-goals.js';

const goalList = z.object({ items: z.array(goalView) });
const connectionId = { schema: pathParameters.connectionId };
const goalId = { schema: pathParameters.goalId };

@Controller('api/v1/workspaces/:workspace')
export class GoalController {
  readonly #goals: ManageGoals;
  readonly #connections: ManageConnections;
  readonly #drivers: Drivers;

  constructor(
    @Inject(ManageGoals) goals: ManageGoals,
    @Inject(ManageConnections) connections: ManageConnections,
    @Inject(DRIVERS) drivers: Drivers,
  ) {
    this.#goals = goals;
    this.#connections = connections;
    this.#drivers = drivers;
  }

  @Get('connections/:connectionId/goals')
  @operation({
    id: 'listGoals',
    tag: 'Goals',
    summary: 'List the goals of a connection',
    access: 'config:read',
    answer: { description: 'In their order', schema: goalList },
    problems: { '404': 'No such connection' },
  })
  async list(
    @Req() request: WorkspaceRequest,
    @Param('connectionId', connectionId) id: string,
  ): Promise<{ items: GoalView[] }> {
    return { items: (await this.#goals.list(request.workspace.id, id)).map(viewOfGoal) };
  }

  @Post('connections/:connectionId/goals')
  @operation({
    id: 'createGoal',
    tag: 'Goals',
    summary: 'Add a goal to a connection',
    description:
      'Checked against the workspace: unknown names, types that do not fit their merge rule, targets used twice and links that form no tree ' +
      'are refused, each named. A mapping that names no property goes to the one called prefix and column, which is added where it is not there yet. An active stream goal starts at once, with the profiles already in its segments; ' +
      'whether its stream is there and may be written to is tried and told, and a goal that fails this is saved all the same.',
    access: 'config:write',
    answer: { description: 'The goal, last in the order', schema: goalView },
    problems: { '404': 'No such connection', '409': 'The name is taken' },
  })
  async create(
    @Req() request: WorkspaceRequest,
    @Param('connectionId', connectionId) id: string,
    @Body({ schema: newGoal }) body: Goal,
  ): Promise<GoalView> {
    requireActivation(request.caller, body);
    return await this.#saved(request, await this.#goals.create(request.workspace.id, id, body));
  }

  @Put('connections/:connectionId/goals/order')
  @operation({
    id: 'reorderGoals',
    tag: 'Goals',
    summary: 'Put the goals of a connection in order',
    access: 'config:write',
    answer: { description: 'The goals in their new order', schema: goalList },
    problems: { '404': 'No such connection' },
  })
  async reorder(
    @Req() request: WorkspaceRequest,
    @Param('connectionId', connectionId) id: string,
    @Body({ schema: goalOrder }) body: z.infer<typeof goalOrder>,
  ): Promise<{ items: GoalView[] }> {
    return { items: (await this.#goals.reorder(request.workspace.id, id, body.goalIds)).map(viewOfGoal) };
  }

  @Get('goals/:goalId')
  @operation({
    id: 'getGoal',
    tag: 'Goals',
    summary: 'Show a goal',
    access: 'config:read',
    answer: { description: 'The goal', schema: goalView },
    problems: { '404': 'No such goal' },
  })
  async get(@Req() request: WorkspaceRequest, @Param('goalId', goalId) id: string): Promise<GoalView> {
    return viewOfGoal(await this.#goals.get(request.workspace.id, id));
  }

  @Patch('goals/:goalId')
  @operation({
    id: 'changeGoal',
    tag: 'Goals',
    summary: 'Change a goal',
    description: 'Runs under way keep the goal they began with; a stream follows at once.',
    access: 'config:write',
    answer: { description: 'The goal', schema: goalView },
    problems: { '404': 'No such goal', '409': 'The name is taken' },
  })
  async change(
    @Req() request: WorkspaceRequest,
    @Param('goalId', goalId) id: string,
    @Body({ schema: goalChange }) body: GoalChange,
  ): Promise<GoalView> {
    const { document } = await this.#goals.get(request.workspace.id, id);
    const merged = goalSchema.safeParse({ ...document, ...body });
    // What it lacks otherwise is told by saving it.
    if (merged.success) requireActivation(request.caller, merged.data);
    return await this.#saved(request, await this.#goals.change(request.workspace.id, id, body));
  }

  @Delete('goals/:goalId')
  @HttpCode(204)
  @operation({
    id: 'deleteGoal',
    tag: 'Goals',
    summary: 'Delete a goal',
    access: 'config:write',
    answer: { description: 'Deleted; a stream stops' },
    problems: { '404': 'No such goal' },
  })
  async delete(@Req() request: WorkspaceRequest, @Param('goalId', goalId) id: string): Promise<void> {
    await this.#goals.delete(request.workspace.id, id);
  }

  async #saved({ workspace }: WorkspaceRequest, saved: SavedGoal): Promise<GoalView> {
    const { row } = saved;
    const warnings = await this.#goals.warnings(saved);
    const view = { ...viewOfGoal(row), ...(warnings.length === 0 ? {} : { warnings }) };
    if (view.kind !== 'stream' || !view.active) return view;
    const connection = await this.#connections.getOpen(workspace.id, row.connectionId);
    return { ...view, check: await tryStreamGoal(connection, row.document, this.#drivers) };
  }
}
