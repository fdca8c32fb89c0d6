import { labelled, type Labelled, policy, type Policy } from '@millrace/domain';
import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Post, Put, Req } from '@nestjs/common';
import { z } from 'zod';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import type { PolicyRecord } from './load-governance.js';
import { ManageGovernance } from './manage-governance.js';

const newPolicy = policy.meta({ id: 'NewPolicy' });
const labelledSchema = labelled.meta({ id: 'Labelled' });
const policyFields = { ...policy.shape, id: z.uuid(), createdAt: z.iso.datetime() };
const policyView = z.object(policyFields).meta({ id: 'Policy' });
type PolicyView = z.infer<typeof policyView>;

const brokenGoals = z
  .array(
    z.object({
      goalId: z.uuid(),
      name: z.string(),
      field: z.string(),
      message: z.string(),
      stopped: z.boolean().describe('A stream that ran and does not any more; an export is refused when it is to run'),
    }),
  )
  .describe('Goals saved before that now break a policy');
const createdPolicy = z.object({ ...policyFields, broken: brokenGoals }).meta({ id: 'CreatedPolicy' });
const labelsSet = z.object({ ...labelled.shape, broken: brokenGoals }).meta({ id: 'LabelsSet' });

@Controller('api/v1/workspaces/:workspace')
export class GovernController {
  readonly #governance: ManageGovernance;

  constructor(@Inject(ManageGovernance) governance: ManageGovernance) {
    this.#governance = governance;
  }

  @Get('policies')
  @operation({
    id: 'listPolicies',
    tag: 'Governance',
    summary: 'List policies',
    access: 'config:read',
    answer: { description: 'By name', schema: z.object({ items: z.array(policyView) }) },
  })
  async listPolicies(@Req() request: WorkspaceRequest): Promise<{ items: PolicyView[] }> {
    return { items: (await this.#governance.policies(request.workspace.id)).map(viewOf) };
  }

  @Post('policies')
  @operation({
    id: 'createPolicy',
    tag: 'Governance',
    summary: 'Forbid data with a label for a marketing action',
    description:
      'From now on no export or stream goal can be saved, and no export run, that would send such data by a connection with that marketing action. ' +
      'Goals that do are named, and streams among them stop.',
    access: 'config:write',
    answer: { description: 'The policy, and what breaks it', schema: createdPolicy },
    problems: { '409': 'The name is taken' },
  })
  async createPolicy(
    @Req() request: WorkspaceRequest,
    @Body({ schema: newPolicy }) body: Policy,
  ): Promise<z.infer<typeof createdPolicy>> {
    const { record, broken } = await this.#governance.createPolicy(request.workspace.id, body);
    return { ...viewOf(record), broken: [...broken] };
  }

  @Delete('policies/:policyId')
  @HttpCode(204)
  @operation({
    id: 'deletePolicy',
    tag: 'Governance',
    summary: 'Delete a policy',
    access: 'config:write',
    answer: { description: 'Deleted; streams it stopped stay switched off' },
    problems: { '404': 'No such policy' },
  })
  async deletePolicy(
    @Req() request: WorkspaceRequest,
    @Param('policyId', { schema: pathParameters.policyId }) id: string,
  ): Promise<void> {
    await this.#governance.deletePolicy(request.workspace.id, id);
  }

  @Get('labels')
  @operation({
    id: 'listLabels',
    tag: 'Governance',
    summary: 'List what is labelled',
    access: 'config:read',
    answer: { description: 'By kind and name', schema: z.object({ items: z.array(labelledSchema) }) },
  })
  async listLabels(@Req() request: WorkspaceRequest): Promise<{ items: Labelled[] }> {
    return { items: [...(await this.#governance.labels(request.workspace.id))] };
  }

  @Put('labels')
  @operation({
    id: 'setLabels',
    tag: 'Governance',
    summary: 'Label a property, segment, event type, group type or import goal',
    description: 'Replaces the labels it had. Goals that break a policy by it are named, and streams among them stop.',
    access: 'config:write',
    answer: { description: 'The labels, and what breaks a policy now', schema: labelsSet },
    problems: { '404': 'The workspace has no such thing' },
  })
  async setLabels(
    @Req() request: WorkspaceRequest,
    @Body({ schema: labelledSchema }) body: Labelled,
  ): Promise<z.infer<typeof labelsSet>> {
    const { record, broken } = await this.#governance.setLabels(request.workspace.id, body);
    return { ...record, broken: [...broken] };
  }
}

function viewOf({ createdAt, ...record }: PolicyRecord): PolicyView {
  return { ...record, createdAt: createdAt.toISOString() };
}
