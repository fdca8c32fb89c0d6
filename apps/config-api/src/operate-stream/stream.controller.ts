import {
  deadLetterFilter,
  deadLetterPage,
  InputError,
  streamExplanation,
  streamReplay,
  streamReplays,
  streamState,
  type DeadLetterFilter,
  type DeadLetterPage,
  type StreamExplanation,
  type StreamReplay,
  type StreamReplays,
  type StreamState,
} from '@millrace/domain';
import type { Database } from '@millrace/database';
import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query, Req } from '@nestjs/common';
import { z } from 'zod';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { DATABASE, PUBLISHER } from '../tokens.js';
import type { AskPublisher } from './ask-publisher.js';
import { OperateStream, readLateSince } from './operate-stream.js';
import { findReplay, replayDeadLetters } from './replay-dead-letters.js';

const goalId = { schema: pathParameters.goalId };
const noGoal = { '404': 'No such goal, or one that was never active' } as const;
const switchedOff = { ...noGoal, '409': 'The goal or its connection is switched off' } as const;

const deadLetterQuery = deadLetterFilter.omit({ profileIds: true }).extend({
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  after: z.string().max(100).optional().describe('`next` of the page before'),
});
type DeadLetterQuery = z.infer<typeof deadLetterQuery>;

const backfillChoice = z
  .strictObject({ segmentId: z.uuid().optional().describe('Absent: all that run') })
  .prefault({})
  .meta({ id: 'BackfillChoice' });
const replayChoice = deadLetterFilter.prefault({}).meta({
  id: 'DeadLetterFilter',
  description: 'Everything given must fit; an empty object means all dead letters of the goal',
});

@Controller('api/v1/workspaces/:workspace/goals/:goalId/stream')
export class StreamController {
  readonly #streams: OperateStream;
  readonly #publisher: AskPublisher | undefined;
  readonly #database: Database;

  constructor(
    @Inject(OperateStream) streams: OperateStream,
    @Inject(PUBLISHER) publisher: AskPublisher | undefined,
    @Inject(DATABASE) database: Database,
  ) {
    this.#streams = streams;
    this.#database = database;
    this.#publisher = publisher;
  }

  @Get()
  @operation({
    id: 'getStream',
    tag: 'Streams',
    summary: 'Show what a stream goal is doing: lag, backlog, backfills, counts, faults',
    access: 'run:read',
    answer: { description: 'As of now; the counts some seconds behind', schema: streamState },
    problems: noGoal,
  })
  async show(@Req() request: WorkspaceRequest, @Param('goalId', goalId) id: string): Promise<StreamState> {
    const state = await this.#ask(request, id, '', streamState);
    const lateSince = await readLateSince(this.#database, id);
    return { ...state, ...(lateSince === undefined ? {} : { lateSince: lateSince.toISOString() }) };
  }

  @Post('pause')
  @HttpCode(202)
  @operation({
    id: 'pauseStream',
    tag: 'Streams',
    summary: 'Stop to send, and collect on',
    description:
      'Changes gather, one entry a profile however often it changes, until the goal is resumed: then each is sent once, as it is then. ' +
      'Switching the goal off (`active: false`) does not even collect, and sends everyone anew when it is switched on.',
    access: 'run:write',
    answer: { description: 'Paused within a second or so' },
    problems: switchedOff,
  })
  async pause(@Req() request: WorkspaceRequest, @Param('goalId', goalId) id: string): Promise<void> {
    await this.#streams.order(request.workspace.id, { kind: 'pause-stream', goalId: id });
  }

  @Post('resume')
  @HttpCode(202)
  @operation({
    id: 'resumeStream',
    tag: 'Streams',
    summary: 'Send on after a pause',
    access: 'run:write',
    answer: { description: 'Resumed within a second or so' },
    problems: switchedOff,
  })
  async resume(@Req() request: WorkspaceRequest, @Param('goalId', goalId) id: string): Promise<void> {
    await this.#streams.order(request.workspace.id, { kind: 'resume-stream', goalId: id });
  }

  @Post('backfills/cancel')
  @HttpCode(202)
  @operation({
    id: 'cancelBackfill',
    tag: 'Streams',
    summary: 'Stop to send the members of segments',
    description: 'What was sent stays sent; members that change are sent all the same.',
    access: 'run:write',
    answer: { description: 'Cancelled within a second or so' },
    problems: switchedOff,
  })
  async cancelBackfill(
    @Req() request: WorkspaceRequest,
    @Param('goalId', goalId) id: string,
    @Body({ schema: backfillChoice }) { segmentId }: z.infer<typeof backfillChoice>,
  ): Promise<void> {
    await this.#streams.order(request.workspace.id, {
      kind: 'cancel-backfill',
      goalId: id,
      ...(segmentId === undefined ? {} : { segmentId }),
    });
  }

  @Get('dead-letters')
  @operation({
    id: 'listDeadLetters',
    tag: 'Streams',
    summary: 'List the profiles whose record was given up, with the reason',
    description: 'What such a record would say now is shown with the profile: `.../stream/profiles/{profileId}`.',
    access: 'run:read',
    answer: { description: 'A page, the longest given up first', schema: deadLetterPage },
    problems: noGoal,
  })
  async deadLetters(
    @Req() request: WorkspaceRequest,
    @Param('goalId', goalId) id: string,
    @Query({ schema: deadLetterQuery }) query: DeadLetterQuery,
  ): Promise<DeadLetterPage> {
    const given = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) if (value !== undefined) given.set(name, String(value));
    return await this.#ask(request, id, `/dead-letters?${given.toString()}`, deadLetterPage);
  }

  @Post('dead-letters/replay')
  @HttpCode(202)
  @operation({
    id: 'replayDeadLetters',
    tag: 'Streams',
    summary: 'Send dead letters again: some profiles, those of a reason or a time, or all',
    description:
      'Sent is the state of now. A profile that changes is sent again without being asked. Says how many were taken up, or `asked` where no ' +
      'publisher has done so within some seconds; `getReplay` tells how far it is.',
    access: 'run:write',
    answer: {
      description: 'They are sent within a second or so; a paused goal sends them when it is resumed',
      schema: streamReplay,
    },
    problems: switchedOff,
  })
  async replay(
    @Req() request: WorkspaceRequest,
    @Param('goalId', goalId) id: string,
    @Body({ schema: replayChoice }) filter: DeadLetterFilter,
  ): Promise<StreamReplay> {
    const target = { workspaceId: request.workspace.id, goalId: id, filter };
    return await replayDeadLetters(this.#streams, this.#publisher, target);
  }

  @Get('replays')
  @operation({
    id: 'listReplays',
    tag: 'Streams',
    summary: 'List what was sent again, and how far that is',
    access: 'run:read',
    answer: { description: 'The latest 50, the latest first', schema: streamReplays },
    problems: noGoal,
  })
  async replays(@Req() request: WorkspaceRequest, @Param('goalId', goalId) id: string): Promise<StreamReplays> {
    return await this.#ask(request, id, '/replays', streamReplays);
  }

  @Get('replays/:replayId')
  @operation({
    id: 'getReplay',
    tag: 'Streams',
    summary: 'Show how far a replay is: taken up, waiting, sent, given up again',
    access: 'run:read',
    answer: { description: 'As of now', schema: streamReplay },
    problems: { '404': 'No such goal or replay' },
  })
  async replayed(
    @Req() request: WorkspaceRequest,
    @Param('goalId', goalId) id: string,
    @Param('replayId', { schema: pathParameters.replayId }) replayId: string,
  ): Promise<StreamReplay> {
    await this.#streams.find(request.workspace.id, id);
    return await findReplay(this.#database, this.#publisherOrRefuse(), id, replayId);
  }

  @Get('profiles/:profileId')
  @operation({
    id: 'explainStream',
    tag: 'Streams',
    summary: 'Explain what the goal makes of a profile: sent, withheld or held back, and the record',
    access: 'run:read',
    also: 'profile:read',
    answer: { description: 'What would be sent now, and why or why not', schema: streamExplanation },
    problems: noGoal,
  })
  async explain(
    @Req() request: WorkspaceRequest,
    @Param('goalId', goalId) id: string,
    @Param('profileId', { schema: pathParameters.profileId }) profileId: string,
  ): Promise<StreamExplanation> {
    return await this.#ask(request, id, `/profiles/${profileId}`, streamExplanation);
  }

  async #ask<T>(request: WorkspaceRequest, id: string, path: string, answer: z.ZodType<T>): Promise<T> {
    await this.#streams.find(request.workspace.id, id);
    return await this.#publisherOrRefuse()(`goals/${id}${path}`, answer);
  }

  #publisherOrRefuse(): AskPublisher {
    if (this.#publisher !== undefined) return this.#publisher;
    throw new InputError(
      'streams-off',
      'this installation shows no streams: set MILLRACE_PUBLISHER_URL and MILLRACE_SERVICE_TOKEN',
    );
  }
}
