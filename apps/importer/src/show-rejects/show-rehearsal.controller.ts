import { Controller, Get, Headers, Inject, Param } from '@nestjs/common';
import type { Database } from '@millrace/database';
import { authenticateService, SERVICE_TOKEN } from '@millrace/service-kit';
import { z } from 'zod';
import { rehearsedFiles, type RehearsedFile } from '../storage/rehearsals.js';
import { REJECTS_DATABASE } from './show-rejects.controller.js';

/** What dry runs found, for config-api, which knows who may see it. */
@Controller('dry-runs')
export class ShowRehearsalController {
  constructor(
    @Inject(REJECTS_DATABASE) private readonly database: Database,
    @Inject(SERVICE_TOKEN) private readonly token: string | undefined,
  ) {}

  @Get(':runId')
  async show(
    @Headers('authorization') authorization: string | undefined,
    @Param('runId') runId: string,
  ): Promise<{ readonly files: readonly RehearsedFile[] }> {
    authenticateService(authorization, this.token);
    return { files: await rehearsedFiles(this.database, z.uuid().parse(runId)) };
  }
}
