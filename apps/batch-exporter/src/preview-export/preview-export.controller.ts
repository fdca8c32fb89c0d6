import type { Database } from '@millrace/database';
import { type Explanation, explanationOrder, type ExportPreview, exportPreviewOrder } from '@millrace/domain';
import { Body, Controller, Headers, HttpCode, Inject, Post } from '@nestjs/common';
import { authenticateService, SERVICE_TOKEN } from '@millrace/service-kit';
import { explainExport } from '../explain-export/explain-export.js';
import { previewExport } from './preview-export.js';

/** Sessions of their own, and few: previews never take one from an export. */
export const PREVIEW_DATABASE = Symbol('PreviewDatabase');

/** Gives the key of a workspace's pseudonyms. */
export const PSEUDONYM_KEY = Symbol('PseudonymKey');

/** Looks ahead for config-api, which knows who may. */
@Controller('previews')
export class PreviewExportController {
  constructor(
    @Inject(PREVIEW_DATABASE) private readonly database: Database,
    @Inject(SERVICE_TOKEN) private readonly token: string | undefined,
    @Inject(PSEUDONYM_KEY) private readonly pseudonymKey: (workspaceId: number) => Uint8Array,
  ) {}

  @Post()
  @HttpCode(200)
  async preview(
    @Headers('authorization') authorization: string | undefined,
    @Body() body: unknown,
  ): Promise<ExportPreview> {
    authenticateService(authorization, this.token);
    return await previewExport(this.database, exportPreviewOrder.parse(body), this.pseudonymKey);
  }

  /** The same of a single profile. */
  @Post('explanation')
  @HttpCode(200)
  async explain(
    @Headers('authorization') authorization: string | undefined,
    @Body() body: unknown,
  ): Promise<Explanation> {
    authenticateService(authorization, this.token);
    return await explainExport(this.database, explanationOrder.parse(body));
  }
}
