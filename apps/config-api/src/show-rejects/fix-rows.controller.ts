import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import type { Database } from '@millrace/database';
import { fixedRows, InputError, type FixedRows } from '@millrace/domain';
import { Body, Controller, Get, HttpCode, Inject, Param, Post, Req, StreamableFile } from '@nestjs/common';
import { z } from 'zod';
import { unavailable, type AskImporter } from '../ask-importer/ask-importer.js';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { readRun } from '../run-connection/read-runs.js';
import { DATABASE, IMPORTER } from '../tokens.js';

const runId = { schema: pathParameters.runId };
const csv = z.string().min(1).describe('The reject file with its rows corrected; rows that are left out stay rejected');
const downloadMs = 600_000;
const fixMs = 600_000;

@Controller('api/v1/workspaces/:workspace/runs/:runId')
export class FixRowsController {
  readonly #database: Database;
  readonly #importer: AskImporter | undefined;

  constructor(@Inject(DATABASE) database: Database, @Inject(IMPORTER) importer: AskImporter | undefined) {
    this.#database = database;
    this.#importer = importer;
  }

  @Get('rejects.csv')
  @operation({
    id: 'downloadRejects',
    tag: 'Runs',
    summary: 'Download the rejected rows of a run as CSV',
    description:
      'Columns #file, #line, #column, #code and #reason, then the columns of the rows themselves, and #raw for rows that cannot be ' +
      'split into columns. Values that look like secrets are redacted. Rows that were corrected since are left out.',
    access: 'run:read',
    also: 'profile:read',
    answer: { description: 'UTF-8, comma-separated, with a header', schema: z.string(), contentType: 'text/csv' },
    problems: { '404': 'No such run' },
  })
  async download(@Req() request: WorkspaceRequest, @Param('runId', runId) id: string): Promise<StreamableFile> {
    await readRun(this.#database, request.workspace.id, id);
    const { body } = await this.#ask({ method: 'GET', path: `rejects/${id}/csv`, timeoutMs: downloadMs });
    if (body === null) throw unavailable(new Error('an answer without body'));
    return new StreamableFile(Readable.fromWeb(body as ReadableStream<Uint8Array>), {
      type: 'text/csv; charset=utf-8',
      disposition: `attachment; filename="rejects-${id}.csv"`,
    });
  }

  @Post('fixed-rows')
  @HttpCode(200)
  @operation({
    id: 'importFixedRows',
    tag: 'Runs',
    summary: 'Import the corrected rows of a reject file',
    description:
      'Just these rows, under the goal as it was in the run. Each source line counts once: lines that were not rejected in this run, or ' +
      'were corrected before, are refused by name. The counts of the run move from rejected to what became of the rows.',
    access: 'run:write',
    also: 'profile:write',
    bodyType: 'text/csv',
    answer: { description: 'What became of the rows', schema: fixedRows },
    problems: {
      '404': 'No such run, or it imported no files',
      '409': 'The run is under way, or it was a dry run',
      '413': 'The body is larger than 32 MiB',
    },
  })
  async fix(
    @Req() request: WorkspaceRequest,
    @Param('runId', runId) id: string,
    @Body({ schema: csv }) body: string,
  ): Promise<FixedRows> {
    await readRun(this.#database, request.workspace.id, id);
    const response = await this.#ask({
      method: 'POST',
      path: `fixed-rows/${id}`,
      body,
      contentType: 'text/csv; charset=utf-8',
      timeoutMs: fixMs,
    });
    const answer = fixedRows.safeParse(await response.json().catch(() => undefined));
    if (!answer.success) throw unavailable(answer.error);
    return answer.data;
  }

  async #ask(call: Parameters<AskImporter>[0]): Promise<Response> {
    if (this.#importer === undefined)
      throw new InputError(
        'rejects-off',
        'this installation lists no rows: set MILLRACE_IMPORTER_URL and MILLRACE_SERVICE_TOKEN',
      );
    return this.#importer(call);
  }
}
