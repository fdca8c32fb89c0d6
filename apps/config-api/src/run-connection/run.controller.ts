import type { Database } from '@millrace/database';
import {
  Body,
  Controller,
  Get,
  Headers,
  HttpCode,
  Inject,
  Param,
  Post,
  Query,
  Req,
  Res,
  StreamableFile,
} from '@nestjs/common';
import type { Response } from 'express';
import { z } from 'zod';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { DATABASE } from '../tokens.js';
import { RunEventStream } from './event-stream-response.js';
import { FollowRuns } from './follow-runs.js';
import { listRuns, readRun } from './read-runs.js';
import { runLog } from './run-log.js';
import {
  isOver,
  runOptions,
  runPage,
  runQuery,
  runView,
  type RunOptions,
  type RunPage,
  type RunQuery,
  type RunView,
} from './run-views.js';
import { StartRun } from './start-run.js';

const runId = { schema: pathParameters.runId };
const noRun = { '404': 'No such run' };

@Controller('api/v1/workspaces/:workspace')
export class RunController {
  readonly #database: Database;
  readonly #runs: StartRun;
  readonly #follow: FollowRuns;

  constructor(
    @Inject(DATABASE) database: Database,
    @Inject(StartRun) runs: StartRun,
    @Inject(FollowRuns) follow: FollowRuns,
  ) {
    this.#database = database;
    this.#runs = runs;
    this.#follow = follow;
  }

  @Post('connections/:connectionId/runs')
  @HttpCode(202)
  @operation({
    id: 'startRun',
    tag: 'Runs',
    summary: 'Run the goals of a connection now',
    description:
      'Active import goals, then active export goals, each in their order, one after the other, as they are at this moment. ' +
      'A goal that fails ends the run: what follows would build on data that is not there. Streams are no part of runs.',
    access: 'run:write',
    answer: { description: 'The run, queued', schema: runView },
    problems: { '404': 'No such connection', '409': 'A run of the connection is under way, or it has nothing to run' },
  })
  async start(
    @Req() request: WorkspaceRequest,
    @Param('connectionId', { schema: pathParameters.connectionId }) connectionId: string,
    @Body({ schema: runOptions }) body: RunOptions,
  ): Promise<RunView> {
    const { workspace, caller } = request;
    return readRun(this.#database, workspace.id, await this.#runs.start(workspace.id, connectionId, caller.name, body));
  }

  @Get('runs')
  @operation({
    id: 'listRuns',
    tag: 'Runs',
    summary: 'List runs, newest first',
    access: 'run:read',
    answer: { description: 'A page of runs', schema: runPage },
  })
  async list(@Req() request: WorkspaceRequest, @Query({ schema: runQuery }) query: RunQuery): Promise<RunPage> {
    return listRuns(this.#database, request.workspace.id, query);
  }

  @Get('runs/:runId')
  @operation({
    id: 'getRun',
    tag: 'Runs',
    summary: 'Show a run',
    access: 'run:read',
    answer: { description: 'The run with progress, counts, notes and errors of each goal', schema: runView },
    problems: noRun,
  })
  async get(@Req() request: WorkspaceRequest, @Param('runId', runId) id: string): Promise<RunView> {
    return readRun(this.#database, request.workspace.id, id);
  }

  @Get('runs/:runId/log')
  @operation({
    id: 'downloadRunLog',
    tag: 'Runs',
    summary: 'Download what happened in a run as text',
    description:
      'A line for each start, note, error and end, with its time, and the counts of each goal. No content of rows.',
    access: 'run:read',
    answer: { description: 'UTF-8, in the order of time', schema: z.string(), contentType: 'text/plain' },
    problems: noRun,
  })
  async log(@Req() request: WorkspaceRequest, @Param('runId', runId) id: string): Promise<StreamableFile> {
    const run = await readRun(this.#database, request.workspace.id, id);
    return new StreamableFile(Buffer.from(runLog(run)), {
      type: 'text/plain; charset=utf-8',
      disposition: `attachment; filename="run-${id}.log"`,
    });
  }

  @Post('runs/:runId/cancel')
  @HttpCode(202)
  @operation({
    id: 'cancelRun',
    tag: 'Runs',
    summary: 'Ask for a run to be cancelled',
    description:
      'The run is over once its worker has stopped. A goal that can no longer be taken back (an export whose manifest is begun) still ' +
      'succeeds; what would follow it does not run.',
    access: 'run:write',
    answer: { description: 'The run, with `cancelRequested`', schema: runView },
    problems: { ...noRun, '409': 'The run is over already' },
  })
  async cancel(@Req() request: WorkspaceRequest, @Param('runId', runId) id: string): Promise<RunView> {
    await this.#runs.cancel(request.workspace.id, id);
    this.#follow.lookNow();
    return readRun(this.#database, request.workspace.id, id);
  }

  @Get('runs/:runId/events')
  @operation({
    id: 'followRun',
    tag: 'Runs',
    summary: 'Follow a run as server-sent events',
    description:
      'Each event `run` holds the whole run, its id is the revision. The stream ends with the run. With `Last-Event-ID` it goes on from ' +
      'there; for a run that is over and known in full the answer is 204, which tells an EventSource to stop.',
    access: 'run:read',
    answer: { description: 'Events named `run`, their data a Run', schema: runView, contentType: 'text/event-stream' },
    otherAnswers: { '204': { description: 'The run is over and nothing is new' } },
    problems: noRun,
  })
  async events(
    @Req() request: WorkspaceRequest,
    @Res() response: Response,
    @Param('runId', runId) id: string,
    @Headers('last-event-id') lastEventId: string | undefined,
  ): Promise<void> {
    const run = await readRun(this.#database, request.workspace.id, id);
    const known = /^\d{1,15}$/.test(lastEventId ?? '') ? Number(lastEventId) : 0;
    if (isOver(run.state) && known >= run.revision) {
      response.status(204).end();
      return;
    }
    const stream = new RunEventStream(response);
    if (run.revision > known) stream.send(run);
    if (isOver(run.state)) return stream.end();
    const leave = this.#follow.follow(id, run.revision, {
      onChange: (next) => stream.send(next),
      onEnd: () => stream.end(),
    });
    response.on('close', leave);
  }
}
