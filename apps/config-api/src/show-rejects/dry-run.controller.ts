import type { Database } from '@millrace/database';
import { InputError, rehearsal, type RehearsalResult } from '@millrace/domain';
import { Controller, Get, Inject, Param, Req } from '@nestjs/common';
import { unavailable, type AskImporter } from '../ask-importer/ask-importer.js';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { readRun } from '../run-connection/read-runs.js';
import { DATABASE, IMPORTER } from '../tokens.js';

@Controller('api/v1/workspaces/:workspace/runs/:runId/dry-run')
export class DryRunController {
  readonly #database: Database;
  readonly #importer: AskImporter | undefined;

  constructor(@Inject(DATABASE) database: Database, @Inject(IMPORTER) importer: AskImporter | undefined) {
    this.#database = database;
    this.#importer = importer;
  }

  @Get()
  @operation({
    id: 'getDryRun',
    tag: 'Runs',
    summary: 'Show what a dry run would have done, file by file, with samples before and after',
    description: 'Files appear as they are done.',
    access: 'run:read',
    also: 'profile:read',
    answer: { description: 'Counts of each file, and up to five samples of each outcome', schema: rehearsal },
    problems: { '404': 'No such run', '409': 'The run is no dry run' },
  })
  async show(
    @Req() request: WorkspaceRequest,
    @Param('runId', { schema: pathParameters.runId }) runId: string,
  ): Promise<RehearsalResult> {
    const run = await readRun(this.#database, request.workspace.id, runId);
    if (!run.dryRun)
      throw new InputError('dry-run-conflict', 'this was no dry run: its counts stand in the run itself');
    if (this.#importer === undefined)
      throw new InputError(
        'samples-off',
        'this installation shows no samples: set MILLRACE_IMPORTER_URL and MILLRACE_SERVICE_TOKEN',
      );
    const response = await this.#importer({ method: 'GET', path: `dry-runs/${runId}` });
    const answer = rehearsal.safeParse(await response.json().catch(() => undefined));
    if (!answer.success) throw unavailable(answer.error);
    return answer.data;
  }
}
