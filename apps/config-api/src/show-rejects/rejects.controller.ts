import type { Database } from '@millrace/database';
import { InputError } from '@millrace/domain';
import { Controller, Get, Inject, Param, Query, Req } from '@nestjs/common';
import { z } from 'zod';
import { allows } from '../access/caller.js';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { readRun } from '../run-connection/read-runs.js';
import { DATABASE, REJECTS } from '../tokens.js';
import { reject, type RejectSource } from './reject-source.js';

const query = z.object({
  goal: z.uuid().optional().describe('Only rows of this goal of the run; the totals are of it too'),
  after: z
    .string()
    .regex(/^\d{1,18}$/)
    .optional()
    .describe('`next` of the page before'),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  raw: z
    .enum(['true', 'false'])
    .default('false')
    .describe('With the rows as they stood in the file; needs the scope `profile:read` as well'),
});
type RejectsQuery = z.infer<typeof query>;

const rejectsView = z
  .object({
    listed: z
      .boolean()
      .describe(
        'False: this installation lists no rows (MILLRACE_IMPORTER_URL is not set), only their number is known',
      ),
    rejectedRows: z.int().describe('Over all imports of the run'),
    rejectedFields: z.int().describe('Fields left out of rows that were imported'),
    items: z.array(reject),
    next: z.string().nullable().describe('For `after`; null: the last page'),
  })
  .meta({ id: 'Rejects' });
type RejectsView = z.infer<typeof rejectsView>;

@Controller('api/v1/workspaces/:workspace/runs/:runId/rejects')
export class RejectsController {
  readonly #database: Database;
  readonly #rejects: RejectSource | undefined;

  constructor(@Inject(DATABASE) database: Database, @Inject(REJECTS) rejects: RejectSource | undefined) {
    this.#database = database;
    this.#rejects = rejects;
  }

  @Get()
  @operation({
    id: 'listRejects',
    tag: 'Runs',
    summary: 'List the rows a run rejected, with file, line, column and reason',
    access: 'run:read',
    answer: { description: 'A page of rejects, in file and line order', schema: rejectsView },
    problems: { '404': 'No such run, or no such goal in it' },
  })
  async list(
    @Req() request: WorkspaceRequest,
    @Param('runId', { schema: pathParameters.runId }) runId: string,
    @Query({ schema: query }) { goal, after, limit, raw }: RejectsQuery,
  ): Promise<RejectsView> {
    const withRows = raw === 'true';
    if (withRows && !allows(request.caller, 'profile:read')) {
      throw new InputError('forbidden', 'raw rows hold personal data: they need the scope "profile:read" as well', {
        at: 'raw',
      });
    }
    const run = await readRun(this.#database, request.workspace.id, runId);
    if (goal !== undefined && !run.goals.some(({ goalId }) => goalId === goal))
      throw new InputError('goal-not-found', 'the run has no such goal', { at: 'goal' });
    const total = (name: string): number =>
      run.goals
        .filter(({ kind, goalId }) => kind !== 'export-profiles' && (goal === undefined || goalId === goal))
        .reduce((sum, { counts }) => sum + Number(counts[name] ?? 0), 0);
    const counted = { rejectedRows: total('rejected'), rejectedFields: total('fieldsRejected') };
    if (this.#rejects === undefined) return { listed: false, ...counted, items: [], next: null };
    const { items, next } = await this.#rejects.list(runId, { goal, limit, after, raw: withRows });
    return { listed: true, ...counted, items, next: next ?? null };
  }
}
