import { exportPreview, type ExportPreview, InputError } from '@millrace/domain';
import { Controller, Get, Inject, Param, Req } from '@nestjs/common';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { ManageConnections } from '../manage-connections/manage-connections.js';
import { ManageGoals } from '../manage-goals/manage-goals.js';
import { EXPORTER } from '../tokens.js';
import type { AskExporter } from './ask-exporter.js';

@Controller('api/v1/workspaces/:workspace/goals/:goalId/preview')
export class PreviewExportController {
  readonly #goals: ManageGoals;
  readonly #connections: ManageConnections;
  readonly #exporter: AskExporter | undefined;

  constructor(
    @Inject(ManageGoals) goals: ManageGoals,
    @Inject(ManageConnections) connections: ManageConnections,
    @Inject(EXPORTER) exporter: AskExporter | undefined,
  ) {
    this.#goals = goals;
    this.#connections = connections;
    this.#exporter = exporter;
  }

  @Get()
  @operation({
    id: 'previewExport',
    tag: 'Goals',
    summary: 'Show what an export goal would write now',
    description:
      'In full or changes only, and why; how many profiles are in the segment, eligible and due, how many are withheld and for what reason; ' +
      'and the first ten rows as they would stand in the file. Writes nothing.',
    access: 'config:read',
    also: 'profile:read',
    answer: { description: 'What a run would do if it began now', schema: exportPreview },
    problems: { '404': 'No such goal' },
  })
  async preview(
    @Req() request: WorkspaceRequest,
    @Param('goalId', { schema: pathParameters.goalId }) goalId: string,
  ): Promise<ExportPreview> {
    const { id: workspaceId } = request.workspace;
    const { document: goal, connectionId } = await this.#goals.get(workspaceId, goalId);
    if (goal.kind !== 'export-profiles')
      throw new InputError('goal-kind', `the goal is of kind "${goal.kind}": only exports have this preview`);
    if (this.#exporter === undefined)
      throw new InputError(
        'preview-off',
        'this installation shows no exports: set MILLRACE_EXPORTER_URL and MILLRACE_SERVICE_TOKEN',
      );
    const { endpoint, consentObjectives } = (await this.#connections.get(workspaceId, connectionId)).document;
    const asked = { workspaceId, goalId, goal, consentObjectives };
    return await this.#exporter({ ...asked, ...(endpoint === undefined ? {} : { endpoint }) });
  }
}
