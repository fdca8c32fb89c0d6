import { Body, Controller, Headers, HttpCode, Inject, Post } from '@nestjs/common';
import { goalEndpoint, importPreviewRequest, TransientError, type ImportPreview } from '@millrace/domain';
import { authenticateService, SERVICE_TOKEN } from '@millrace/service-kit';
import { z } from 'zod';
import { PreviewSource } from './preview-source.js';

const order = z.object({
  workspaceId: z.int(),
  connectionId: z.uuid(),
  endpoint: goalEndpoint,
  request: importPreviewRequest,
});

const patienceMs = 25_000;

/** Looks into files for config-api, which knows who may. */
@Controller('previews')
export class PreviewSourceController {
  constructor(
    @Inject(PreviewSource) private readonly previews: PreviewSource,
    @Inject(SERVICE_TOKEN) private readonly token: string | undefined,
  ) {}

  @Post()
  @HttpCode(200)
  async preview(
    @Headers('authorization') authorization: string | undefined,
    @Body() body: unknown,
  ): Promise<ImportPreview> {
    authenticateService(authorization, this.token);
    const signal = AbortSignal.timeout(patienceMs);
    try {
      return await this.previews.preview(order.parse(body), signal);
    } catch (error) {
      if (!signal.aborted) throw error;
      throw new TransientError('preview-too-slow', 'the object store did not show the files in time: try again');
    }
  }
}
