import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { InputError } from '@millrace/domain';
import { Controller, Get, Header, Inject, Param, Req, Res } from '@nestjs/common';
import type { Request, Response } from 'express';
import { z } from 'zod';
import { operation } from '../http/operation.js';
import { OPEN_API } from '../tokens.js';
import { docsPage, frontPage } from './pages.js';
import type { JsonSchema } from './schema-components.js';

/** What the documentation page loads, and nothing else of the package. */
const assets: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
};
const require = createRequire(import.meta.url);
const swaggerFolder = path.dirname(require.resolve('swagger-ui-dist/package.json'));

const pointer = z.object({ service: z.string(), documentation: z.string(), openApi: z.string(), api: z.string() });

/** The API's description of itself: open to everyone, because it shows nothing of anybody. */
@Controller()
export class DocsController {
  readonly #document: JsonSchema;
  readonly #files = new Map<string, Buffer>();

  constructor(@Inject(OPEN_API) document: JsonSchema) {
    this.#document = document;
  }

  @Get()
  @operation({
    id: 'getPointer',
    tag: 'Documentation',
    summary: 'Where to find what',
    access: 'public',
    answer: { description: 'JSON, or a page for browsers', schema: pointer },
  })
  front(@Req() request: Request, @Res({ passthrough: true }) response: Response): string | z.infer<typeof pointer> {
    if (request.accepts(['json', 'html']) !== 'html') {
      return {
        service: 'millrace config-api',
        documentation: '/api/docs',
        openApi: '/api/openapi.json',
        api: '/api/v1',
      };
    }
    response.type('html');
    return frontPage();
  }

  @Get('api/openapi.json')
  @operation({
    id: 'getOpenApi',
    tag: 'Documentation',
    summary: 'This document',
    access: 'public',
    answer: { description: 'OpenAPI 3.1', schema: z.looseObject({ openapi: z.string() }) },
  })
  openApi(): JsonSchema {
    return this.#document;
  }

  @Get('api/docs')
  @Header('content-type', 'text/html; charset=utf-8')
  @Header(
    'content-security-policy',
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'",
  )
  @operation({
    id: 'getDocs',
    tag: 'Documentation',
    summary: 'The documentation as a page to read and try',
    access: 'public',
    answer: { description: 'A page', schema: z.string(), contentType: 'text/html' },
  })
  docs(): string {
    return docsPage();
  }

  @Get('api/docs/:asset')
  @operation({
    id: 'getDocsAsset',
    tag: 'Documentation',
    summary: 'What the page is made of',
    access: 'public',
    answer: { description: 'A script or style sheet', schema: z.string(), contentType: '*/*' },
    problems: { '404': 'No such file' },
  })
  asset(@Param('asset') name: string, @Res() response: Response): void {
    const type = Object.hasOwn(assets, name) ? assets[name] : undefined;
    if (type === undefined) {
      if (name === 'start.js') return void response.type('text/javascript').send(startScript);
      throw new InputError('asset-not-found', 'there is no such file');
    }
    const file = this.#files.get(name) ?? readFileSync(path.join(swaggerFolder, name));
    this.#files.set(name, file);
    response.set({ 'content-type': type, 'cache-control': 'public, max-age=86400' }).send(file);
  }
}

const startScript = `SwaggerUIBundle({ url: '/api/openapi.json', dom_id: '#docs', deepLinking: true, persistAuthorization: false, validatorUrl: null });\n`;
