import type { Database } from '@millrace/database';
import {
  deadLetterFilter,
  InputError,
  type DeadLetterPage,
  type StreamExplanation,
  type StreamReplay,
  type StreamReplays,
  type StreamState,
} from '@millrace/domain';
import { Controller, Get, Headers, Inject, Param, Query } from '@nestjs/common';
import { authenticateService, SERVICE_TOKEN } from '@millrace/service-kit';
import { z } from 'zod';
import { listDeadLetters, readReplays } from '../storage/dead-letters.js';
import { readStreamState } from '../storage/stream-states.js';
import { explainProfile, neverActivated } from './explain-profile.js';

/** Sessions of their own, and few: looking never takes one from publishing. */
export const LOOK_DATABASE = Symbol('LookDatabase');

const id = z.uuid();
const listing = deadLetterFilter.omit({ profileIds: true }).extend({
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  after: z
    .string()
    .regex(/^\d{1,18}_[0-9a-f-]{36}$/)
    .optional(),
});

/** Shows config-api, which knows who may, what goals are doing. */
@Controller('goals/:goalId')
export class LookAtStreamController {
  constructor(
    @Inject(LOOK_DATABASE) private readonly database: Database,
    @Inject(SERVICE_TOKEN) private readonly token: string | undefined,
  ) {}

  @Get()
  async state(
    @Headers('authorization') authorization: string | undefined,
    @Param('goalId') goalId: string,
  ): Promise<StreamState> {
    authenticateService(authorization, this.token);
    const state = await readStreamState(this.database, id.parse(goalId));
    if (state === undefined) throw neverActivated();
    return state;
  }

  @Get('dead-letters')
  async deadLetters(
    @Headers('authorization') authorization: string | undefined,
    @Param('goalId') goalId: string,
    @Query() query: unknown,
  ): Promise<DeadLetterPage> {
    authenticateService(authorization, this.token);
    const { limit, after, ...filter } = listing.parse(query);
    const { items, next } = await listDeadLetters(this.database, id.parse(goalId), { filter, limit, after });
    return { items: [...items], next: next ?? null };
  }

  @Get('replays')
  async replays(
    @Headers('authorization') authorization: string | undefined,
    @Param('goalId') goalId: string,
  ): Promise<StreamReplays> {
    authenticateService(authorization, this.token);
    return { items: [...(await readReplays(this.database, id.parse(goalId)))] };
  }

  @Get('replays/:replayId')
  async replay(
    @Headers('authorization') authorization: string | undefined,
    @Param('goalId') goalId: string,
    @Param('replayId') replayId: string,
  ): Promise<StreamReplay> {
    authenticateService(authorization, this.token);
    const [replay] = await readReplays(this.database, id.parse(goalId), { id: id.parse(replayId) });
    if (replay === undefined)
      throw new InputError('replay-not-found', 'there is no such replay of this goal, or not yet');
    return replay;
  }

  @Get('profiles/:profileId')
  async explain(
    @Headers('authorization') authorization: string | undefined,
    @Param('goalId') goalId: string,
    @Param('profileId') profileId: string,
  ): Promise<StreamExplanation> {
    authenticateService(authorization, this.token);
    return await explainProfile(this.database, id.parse(goalId), id.parse(profileId));
  }
}
