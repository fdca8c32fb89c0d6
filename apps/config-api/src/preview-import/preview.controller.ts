import {
  importPreview,
  importPreviewRequest,
  InputError,
  type ImportPreview,
  type ImportPreviewRequest,
} from '@millrace/domain';
import { Body, Controller, HttpCode, Inject, Param, Post, Req } from '@nestjs/common';
import { unavailable, type AskImporter } from '../ask-importer/ask-importer.js';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { ManageConnections } from '../manage-connections/manage-connections.js';
import { IMPORTER } from '../tokens.js';

const patienceMs = 30_000;

@Controller('api/v1/workspaces/:workspace/connections')
export class PreviewController {
  readonly #connections: ManageConnections;
  readonly #importer: AskImporter | undefined;

  constructor(
    @Inject(ManageConnections) connections: ManageConnections,
    @Inject(IMPORTER) importer: AskImporter | undefined,
  ) {
    this.#connections = connections;
    this.#importer = importer;
  }

  @Post(':connectionId/preview')
  @HttpCode(200)
  @operation({
    id: 'previewImport',
    tag: 'Connections',
    summary: 'Scan the files of an import goal and look into the first ones',
    description:
      'The goal need not be saved: its source is enough. Lists the files it would import, and proposes CSV options, columns and mappings ' +
      'from their heads; a given option is never overruled. Works on encrypted files where the connection has the key; what is shown of ' +
      'those is unproven, as their signature stands at the end.',
    access: 'config:write',
    also: 'profile:read',
    answer: { description: 'What was found; a file that cannot be read has a `problem`', schema: importPreview },
    problems: { '404': 'No such connection, bucket or file' },
  })
  async preview(
    @Req() request: WorkspaceRequest,
    @Param('connectionId', { schema: pathParameters.connectionId }) connectionId: string,
    @Body({ schema: importPreviewRequest }) body: ImportPreviewRequest,
  ): Promise<ImportPreview> {
    const endpoint = await this.#connections.importEndpoint(request.workspace.id, connectionId);
    if (this.#importer === undefined)
      throw new InputError(
        'preview-off',
        'this installation shows no files: set MILLRACE_IMPORTER_URL and MILLRACE_SERVICE_TOKEN',
      );
    const order = { workspaceId: request.workspace.id, connectionId, endpoint, request: body };
    const response = await this.#importer({
      method: 'POST',
      path: 'previews',
      contentType: 'application/json',
      body: JSON.stringify(order),
      timeoutMs: patienceMs,
    });
    const answer = importPreview.safeParse(await response.json().catch(() => undefined));
    if (!answer.success) throw unavailable(answer.error);
    return answer.data;
  }
}
