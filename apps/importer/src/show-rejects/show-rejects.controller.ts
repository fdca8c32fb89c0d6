import { Controller, Get, Headers, Inject, Param, Query } from '@nestjs/common';
import { z } from 'zod';
import type { Database } from '@millrace/database';
import { authenticateService, SERVICE_TOKEN } from '@millrace/service-kit';
import { runRejects, type StoredReject } from '../storage/rejects.js';

export const REJECTS_DATABASE = Symbol('Database of rejects');

const runId = z.uuid();
const page = z.object({
  goal: z.uuid().optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  after: z
    .string()
    .regex(/^\d{1,18}$/)
    .default('0'),
  raw: z
    .enum(['true', 'false'])
    .default('false')
    .transform((text) => text === 'true'),
});

interface RejectPage {
  readonly items: readonly StoredReject[];
  /** Give it as `after` to read on; absent at the end. */
  readonly next?: string;
}

/**
 * The rejected rows of a run, for config-api, which knows who may see them. Whoever calls shows the token that the
 * services share; an importer without one answers nobody.
 */
@Controller('rejects')
export class ShowRejectsController {
  constructor(
    @Inject(REJECTS_DATABASE) private readonly database: Database,
    @Inject(SERVICE_TOKEN) private readonly token: string | undefined,
  ) {}

  @Get(':runId')
  async list(
    @Headers('authorization') authorization: string | undefined,
    @Param('runId') run: string,
    @Query() query: Record<string, unknown>,
  ): Promise<RejectPage> {
    authenticateService(authorization, this.token);
    const { goal, limit, after, raw } = page.parse(query);
    const items = await runRejects(this.database, runId.parse(run), { goal, limit, after, raw });
    const last = items.length === limit ? items.at(-1) : undefined;
    return { items, ...(last === undefined ? {} : { next: last.id }) };
  }
}
