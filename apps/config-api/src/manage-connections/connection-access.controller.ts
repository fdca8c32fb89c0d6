import { iamPolicy, type Connection, type Goal, type IamPolicy } from '@millrace/domain';
import { kinesisPolicy } from '@millrace/event-stream';
import { s3Policy, type BucketUse } from '@millrace/object-store';
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
    summary: 'Print the least IAM policy a connection needs, and from where it connects',
    access: 'config:read',
    answer: { description: 'For the buckets, folders and streams its goals name now', schema: connectionAccess },
    problems: { '404': 'No such connection' },
  })
  async show(
    @Req() request: WorkspaceRequest,
    @Param('connectionId', { schema: pathParameters.connectionId }) connectionId: string,
  ): Promise<ConnectionAccess> {
    const { document } = await this.#connections.get(request.workspace.id, connectionId);
    const goals = await this.#goals.list(request.workspace.id, connectionId);
    const policy = policyOf(
      document,
      goals.map(({ document: goal }) => goal),
    );
    return { policy, egressAddresses: [...this.#egressAddresses] };
  }
}

function policyOf({ kind, region }: Connection, goals: readonly Goal[]): IamPolicy {
  switch (kind) {
    case 'kinesis':
      return kinesisPolicy(
        region,
        goals.flatMap((goal) => (goal.kind === 'stream' ? [goal.streamName] : [])),
      );
    case 's3':
      return s3Policy(region, goals.flatMap(bucketUse));
  }
}

function bucketUse(goal: Goal): readonly BucketUse[] {
  switch (goal.kind) {
    case 'import-groups':
    case 'import-profiles': {
      const { bucket, directory } = goal.source;
      return [{ bucket, directory, does: 'import', afterImport: goal.afterImport }];
    }
    case 'export-profiles':
      // A macro is a name that is known only when it runs.
      return [
        { bucket: goal.target.bucket, directory: goal.target.directory.replace(/%[A-Z_]+%/g, '*'), does: 'export' },
      ];
    case 'stream':
      return [];
  }
}
