import type { Database } from '@millrace/database';
import { InputError, ingestionBatch, ingestionResult, profileUpdate, type IngestionResult } from '@millrace/domain';
import { WAKE_UPS, type WakeUps } from '@millrace/job-queue';
import { findGroup, groupPropertiesText, loadCatalogue, lockDefinitions, putGroup } from '@millrace/profile-store';
import { Body, Controller, Get, Header, HttpCode, Inject, Param, Post, Put, Req } from '@nestjs/common';
import { z } from 'zod';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { checkDomainGroup, checkNamespaces } from '../read-profiles/check-namespaces.js';
import { DATABASE } from '../tokens.js';
import { groupBody, groupResult, groupView, type GroupBody, type GroupResult } from './group-views.js';
import { IngestUpdates, type IngestionBatch } from './ingest-updates.js';

const batchSchema = ingestionBatch.meta({ id: 'AnyIngestionBatch' });
// Items are judged one by one, so the route takes anything as an item; the document says what an item should be.
const documentedBatch = ingestionBatch
  .extend({
    updates: z
      .array(profileUpdate.meta({ id: 'ProfileUpdate' }))
      .min(1)
      .max(1000),
  })
  .meta({ id: 'IngestionBatch' });

@Controller('api/v1/workspaces/:workspace')
export class IngestionController {
  readonly #database: Database;
  readonly #ingest: IngestUpdates;
  readonly #wakeUps: WakeUps;

  constructor(
    @Inject(DATABASE) database: Database,
    @Inject(IngestUpdates) ingest: IngestUpdates,
    @Inject(WAKE_UPS) wakeUps: WakeUps,
  ) {
    this.#database = database;
    this.#ingest = ingest;
    this.#wakeUps = wakeUps;
  }

  @Post('ingestion/batches')
  @HttpCode(200)
  @operation({
    id: 'ingestBatch',
    tag: 'Ingestion',
    summary: 'Apply a batch of profile updates',
    description:
      'Through the same matching and merge rules as files, in one transaction. Numbers keep every digit. Each item has its own result; ' +
      'rejected items do not hold back the others. The same `batchId` again answers with the first result and changes nothing.',
    access: 'profile:write',
    body: documentedBatch,
    answer: { description: 'What became of each item', schema: ingestionResult.meta({ id: 'IngestionResult' }) },
    problems: { '409': 'The batchId was used for another content', '413': 'More than 10 MiB' },
  })
  async ingest(
    @Req() request: WorkspaceRequest,
    @Body({ schema: batchSchema }) body: IngestionBatch,
  ): Promise<IngestionResult> {
    const result = await this.#ingest.ingest(request.workspace.id, body);
    await this.#wakeUps.wake('stream-lane', { version: 1 });
    return result;
  }

  @Get('groups/:groupType/:groupKey')
  @Header('content-type', 'application/json; charset=utf-8')
  @operation({
    id: 'getGroup',
    tag: 'Profiles',
    summary: 'Show a group',
    access: 'profile:read',
    answer: { description: 'The group', schema: groupView },
    problems: { '404': 'No such group' },
  })
  async getGroup(
    @Req() request: WorkspaceRequest,
    @Param('groupType', { schema: pathParameters.groupType }) type: string,
    @Param('groupKey', { schema: pathParameters.groupKey }) key: string,
  ): Promise<string> {
    const group = await findGroup(this.#database, request.workspace.id, type, key);
    if (group === undefined) throw new InputError('group-not-found', 'there is no such group in this workspace');
    return group;
  }

  @Put('groups/:groupType/:groupKey')
  @operation({
    id: 'putGroup',
    tag: 'Ingestion',
    summary: 'Make or change a group (household, company, account) and add members',
    access: 'profile:write',
    answer: { description: 'The group', schema: groupResult },
  })
  async putGroup(
    @Req() request: WorkspaceRequest,
    @Param('groupType', { schema: pathParameters.groupType }) type: string,
    @Param('groupKey', { schema: pathParameters.groupKey }) key: string,
    @Body({ schema: groupBody }) body: GroupBody,
  ): Promise<GroupResult> {
    const { unknownMembers } = await this.#database.transaction(async (tx) => {
      // Before the catalogue is read, so that no segment is changed in between.
      await lockDefinitions(tx, request.workspace.id, 'shared');
      const catalogue = await loadCatalogue(tx, request.workspace.id);
      checkDomainGroup(catalogue, body.domainGroupId);
      checkNamespaces(
        catalogue,
        body.members.map(({ namespace }, index) => ({ field: `members.${index}.namespace`, code: namespace })),
      );
      return putGroup(tx, catalogue, {
        type,
        key,
        properties: groupPropertiesText(catalogue, type, body.properties),
        members: body.members,
        domainGroupId: body.domainGroupId,
      });
    });
    await this.#wakeUps.wake('stream-lane', { version: 1 });
    return { type, key, unknownMembers };
  }
}
