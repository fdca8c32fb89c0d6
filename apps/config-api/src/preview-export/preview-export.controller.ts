import type { Database } from '@millrace/database';
import { explanation, type Explanation, exportPreview, type ExportPreviewOrder, InputError } from '@millrace/domain';
import { Controller, Get, Inject, Param, Query, Req } from '@nestjs/common';
import type { z } from 'zod';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { ManageConnections } from '../manage-connections/manage-connections.js';
import type { Drivers } from '../manage-connections/try-connection.js';
import { ManageGoals } from '../manage-goals/manage-goals.js';
import { DATABASE, DRIVERS, EXPORTER } from '../tokens.js';
import type { AskExporter } from './ask-exporter.js';
import { explainStream } from './explain-stream.js';
import { explanationQuery, type ExplanationQuery, findSubject } from './find-subject.js';
import { listTarget, targetFiles } from './target-files.js';

const previewView = exportPreview.extend({ target: targetFiles });
const goalId = { schema: pathParameters.goalId };

@Controller('api/v1/workspaces/:workspace/goals/:goalId')
export class PreviewExportController {
  readonly #goals: ManageGoals;
  readonly #connections: ManageConnections;
  readonly #exporter: AskExporter | undefined;
  readonly #database: Database;
  readonly #drivers: Drivers;

  constructor(
    @Inject(ManageGoals) goals: ManageGoals,
    @Inject(ManageConnections) connections: ManageConnections,
    @Inject(EXPORTER) exporter: AskExporter | undefined,
    @Inject(DATABASE) database: Database,
    @Inject(DRIVERS) drivers: Drivers,
  ) {
    this.#goals = goals;
    this.#connections = connections;
    this.#exporter = exporter;
    this.#database = database;
    this.#drivers = drivers;
  }

  @Get('preview')
  @operation({
    id: 'previewExport',
    tag: 'Goals',
    summary: 'Show what an export goal would write now',
    description:
      'In full or changes only, and why; how many profiles are in the segment, eligible and due, how many are withheld and for what reason; ' +
      'the first ten rows as they would stand in the file; and which files lie in the target directory already. Writes nothing.',
    access: 'config:read',
    also: 'profile:read',
    answer: { description: 'What a run would do if it began now', schema: previewView },
    problems: { '404': 'No such goal' },
  })
  async preview(
    @Req() request: WorkspaceRequest,
    @Param('goalId', goalId) id: string,
  ): Promise<z.infer<typeof previewView>> {
    const { exporter, order } = await this.#orderFor(request.workspace.id, id);
    const told = await exporter.preview(order);
    const { connectionId } = await this.#goals.get(request.workspace.id, id);
    const connection = await this.#connections.getOpen(request.workspace.id, connectionId);
    return { ...told, target: await listTarget(connection, order.goal, this.#drivers) };
  }

  @Get('explain')
  @operation({
    id: 'explainGoal',
    tag: 'Goals',
    summary: 'Explain why a profile is in or out of what a goal sends',
    description:
      'For an export, of the next one, if it began now: each condition with its answer, in the order in which they are asked. ' +
      'For a stream, whether its receiver is kept up to date about the profile. An identity also finds a profile that was erased.',
    access: 'config:read',
    also: 'profile:read',
    answer: { description: 'Each condition, met or not', schema: explanation },
    problems: { '404': 'No such goal, or nobody has the identity' },
  })
  async explain(
    @Req() request: WorkspaceRequest,
    @Param('goalId', goalId) id: string,
    @Query({ schema: explanationQuery }) query: ExplanationQuery,
  ): Promise<Explanation> {
    const { id: workspaceId } = request.workspace;
    const { document: goal, connectionId } = await this.#goals.get(workspaceId, id);
    const profileId = await findSubject(this.#database, workspaceId, query);
    if (goal.kind !== 'stream') {
      const { exporter, order } = await this.#orderFor(workspaceId, id);
      return await exporter.explain({ ...order, profileId });
    }
    const { document: connection } = await this.#connections.get(workspaceId, connectionId);
    return await explainStream(this.#database, workspaceId, goal, connection, profileId);
  }

  async #orderFor(
    workspaceId: number,
    id: string,
  ): Promise<{ readonly exporter: AskExporter; readonly order: ExportPreviewOrder }> {
    const { document: goal, connectionId } = await this.#goals.get(workspaceId, id);
    if (goal.kind !== 'export-profiles')
      throw new InputError(
        'goal-kind',
        `the goal is of kind "${goal.kind}": only what leaves can be looked at like this`,
      );
    if (this.#exporter === undefined)
      throw new InputError(
        'preview-off',
        'this installation shows no exports: set MILLRACE_EXPORTER_URL and MILLRACE_SERVICE_TOKEN',
      );
    const { endpoint, consentObjectives } = (await this.#connections.get(workspaceId, connectionId)).document;
    return {
      exporter: this.#exporter,
      order: { workspaceId, goalId: id, goal, ...(endpoint === undefined ? {} : { endpoint }), consentObjectives },
    };
  }
}
