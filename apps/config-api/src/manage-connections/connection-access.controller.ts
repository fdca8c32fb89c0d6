import { iamPolicy, InputError } from '@millrace/domain';
import { kinesisPolicy } from '@millrace/event-stream';
import { Controller, Get, Inject, Param, Req } from '@nestjs/common';
import { z } from 'zod';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { ManageGoals } from '../manage-goals/manage-goals.js';
import { EGRESS_ADDRESSES } from '../tokens.js';
import { ManageConnections } from './manage-connections.js';

const connectionAccess = z
  .object({
    policy: iamPolicy.describe('Ready to paste; put your account id where `*` stands to narrow it further'),
    egressAddresses: z
      .array(z.string())
      .describe('From where this installation connects, for allow-lists; empty: its operator has published none'),
  })
  .meta({ id: 'ConnectionAccess' });
type ConnectionAccess = z.infer<typeof connectionAccess>;

@Controller('api/v1/workspaces/:workspace/connections/:connectionId/access')
export class ConnectionAccessController {
  readonly #connections: ManageConnections;
  readonly #goals: ManageGoals;
  readonly #egressAddresses: readonly string[];

  constructor(
    @Inject(ManageConnections) connections: ManageConnections,
    @Inject(ManageGoals) goals: ManageGoals,
    @Inject(EGRESS_ADDRESSES) egressAddresses: readonly string[],
  ) {
    this.#connections = connections;
    this.#goals = goals;
    this.#egressAddresses = egressAddresses;
  }

  @Get()
  @operation({
    id: 'getConnectionAccess',
    tag: 'Connections',
    summary: 'Print the least IAM policy the streams of a connection need, and from where it connects',
    access: 'config:read',
    answer: { description: 'For the streams its goals name now', schema: connectionAccess },
    problems: { '404': 'No such connection' },
  })
  async show(
    @Req() request: WorkspaceRequest,
    @Param('connectionId', { schema: pathParameters.connectionId }) connectionId: string,
  ): Promise<ConnectionAccess> {
    const { document } = await this.#connections.get(request.workspace.id, connectionId);
    if (document.kind !== 'kinesis')
      throw new InputError('connection-kind', 'policies are printed for connections of the kind "kinesis"');
    const goals = await this.#goals.list(request.workspace.id, connectionId);
    const streams = goals.flatMap(({ document: goal }) => (goal.kind === 'stream' ? [goal.streamName] : []));
    return { policy: kinesisPolicy(document.region, streams), egressAddresses: [...this.#egressAddresses] };
  }
}
