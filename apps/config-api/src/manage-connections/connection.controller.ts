import type { Connection } from '@millrace/domain';
import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Patch, Post, Req } from '@nestjs/common';
import { z } from 'zod';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { ManageGoals } from '../manage-goals/manage-goals.js';
import { DRIVERS } from '../tokens.js';
import {
  connectionChange,
  connectionTest,
  connectionTestResult,
  connectionView,
  newConnection,
  viewOfConnection,
  type ConnectionChange,
  type ConnectionTest,
  type ConnectionTestResult,
  type ConnectionView,
} from './connection-views.js';
import { ManageConnections } from './manage-connections.js';
import { tryConnection, type Drivers } from './try-connection.js';

const connectionId = { schema: pathParameters.connectionId };
const noConnection = { '404': 'No such connection' };

@Controller('api/v1/workspaces/:workspace/connections')
export class ConnectionController {
  readonly #connections: ManageConnections;
  readonly #goals: ManageGoals;
  readonly #drivers: Drivers;

  constructor(
    @Inject(ManageConnections) connections: ManageConnections,
    @Inject(ManageGoals) goals: ManageGoals,
    @Inject(DRIVERS) drivers: Drivers,
  ) {
    this.#connections = connections;
    this.#goals = goals;
    this.#drivers = drivers;
  }

  @Get()
  @operation({
    id: 'listConnections',
    tag: 'Connections',
    summary: 'List connections',
    access: 'config:read',
    answer: { description: 'By name', schema: z.object({ items: z.array(connectionView) }) },
  })
  async list(@Req() request: WorkspaceRequest): Promise<{ items: ConnectionView[] }> {
    return { items: (await this.#connections.list(request.workspace.id)).map(viewOfConnection) };
  }

  @Post()
  @operation({
    id: 'createConnection',
    tag: 'Connections',
    summary: 'Add a connection',
    description:
      'Secrets are sealed at once and never shown again. PGP keys are checked: unusable and expired ones are refused.',
    access: 'config:write',
    also: 'config:read',
    answer: { description: 'The connection', schema: connectionView },
    problems: { '409': 'The name is taken' },
  })
  async create(
    @Req() request: WorkspaceRequest,
    @Body({ schema: newConnection }) body: Connection,
  ): Promise<ConnectionView> {
    return viewOfConnection(await this.#connections.create(request.workspace.id, body));
  }

  @Get(':connectionId')
  @operation({
    id: 'getConnection',
    tag: 'Connections',
    summary: 'Show a connection',
    access: 'config:read',
    answer: { description: 'The connection, with markers where it holds secrets', schema: connectionView },
    problems: noConnection,
  })
  async get(
    @Req() request: WorkspaceRequest,
    @Param('connectionId', connectionId) id: string,
  ): Promise<ConnectionView> {
    return viewOfConnection(await this.#connections.get(request.workspace.id, id));
  }

  @Patch(':connectionId')
  @operation({
    id: 'changeConnection',
    tag: 'Connections',
    summary: 'Change a connection',
    description:
      'What is left out stays, secrets included; null removes. Runs under way keep what they began with, streams follow at once.',
    access: 'config:write',
    answer: { description: 'The connection', schema: connectionView },
    problems: { ...noConnection, '409': 'The name is taken' },
  })
  async change(
    @Req() request: WorkspaceRequest,
    @Param('connectionId', connectionId) id: string,
    @Body({ schema: connectionChange }) body: ConnectionChange,
  ): Promise<ConnectionView> {
    return viewOfConnection(await this.#connections.change(request.workspace.id, id, body));
  }

  @Delete(':connectionId')
  @HttpCode(204)
  @operation({
    id: 'deleteConnection',
    tag: 'Connections',
    summary: 'Delete a connection with its goals and secrets',
    description: 'Its streams stop; the history of its runs stays.',
    access: 'config:write',
    answer: { description: 'Deleted' },
    problems: { ...noConnection, '409': 'A run is under way' },
  })
  async delete(@Req() request: WorkspaceRequest, @Param('connectionId', connectionId) id: string): Promise<void> {
    await this.#connections.delete(request.workspace.id, id);
  }

  @Post(':connectionId/test')
  @HttpCode(200)
  @operation({
    id: 'testConnection',
    tag: 'Connections',
    summary: 'Try a connection out',
    description:
      'Says which permissions are missing. Without a target, the buckets or streams of the goals are tried. Nothing is left behind.',
    access: 'config:write',
    answer: {
      description: 'What was found out; a failed check is an answer, not an error',
      schema: connectionTestResult,
    },
    problems: noConnection,
  })
  async test(
    @Req() request: WorkspaceRequest,
    @Param('connectionId', connectionId) id: string,
    @Body({ schema: connectionTest }) body: ConnectionTest,
  ): Promise<ConnectionTestResult> {
    const connection = await this.#connections.getOpen(request.workspace.id, id);
    const goals = await this.#goals.list(request.workspace.id, id);
    return tryConnection(
      connection,
      goals.map(({ document }) => document),
      body,
      this.#drivers,
    );
  }
}
