import { Readable } from 'node:stream';
import { Body, Controller, Get, Headers, HttpCode, Inject, Param, Post, StreamableFile } from '@nestjs/common';
import type { Database } from '@millrace/database';
import type { FixedRows } from '@millrace/domain';
import { authenticateService, SERVICE_TOKEN } from '@millrace/service-kit';
import { z } from 'zod';
import { REJECTS_DATABASE } from '../show-rejects/show-rejects.controller.js';
import { FixRows } from './fix-rows.js';
import { rejectFile } from './reject-file.js';

const runId = z.uuid();

/** Reject files out and corrected ones back in, for config-api, which knows who may. */
@Controller()
export class FixRowsController {
  constructor(
    @Inject(REJECTS_DATABASE) private readonly database: Database,
    @Inject(FixRows) private readonly fixRows: FixRows,
    @Inject(SERVICE_TOKEN) private readonly token: string | undefined,
  ) {}

  @Get('rejects/:runId/csv')
  download(@Headers('authorization') authorization: string | undefined, @Param('runId') run: string): StreamableFile {
    authenticateService(authorization, this.token);
    const text = Readable.from(rejectFile(this.database, runId.parse(run)), { objectMode: false });
    return new StreamableFile(text, { type: 'text/csv; charset=utf-8' });
  }

  @Post('fixed-rows/:runId')
  @HttpCode(200)
  async fix(
    @Headers('authorization') authorization: string | undefined,
    @Param('runId') run: string,
    @Body() body: unknown,
  ): Promise<FixedRows> {
    authenticateService(authorization, this.token);
    return this.fixRows.fix(runId.parse(run), z.string().parse(body));
  }
}
