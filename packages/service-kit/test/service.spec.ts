import 'reflect-metadata';
import { Body, Controller, Get, Inject, Module, Param, Post, Query, Sse } from '@nestjs/common';
import { InputError } from '@millrace/domain';
import { Observable } from 'rxjs';
import { z } from 'zod';
import {
  createLogger,
  HEALTH,
  HealthRegistry,
  LOGGER,
  METRICS,
  startService,
  type Metrics,
  type Service,
} from '../src/index.js';

const thing = z.strictObject({
  name: z.string().min(1),
  size: z.int().default(3),
  inner: z.strictObject({ bucket: z.string() }).optional(),
});
type Thing = z.infer<typeof thing>;

@Controller('things')
class ThingController {
  constructor(@Inject(METRICS) private readonly metrics: Metrics) {}

  @Post()
  create(@Body({ schema: thing }) body: Thing): Thing {
    return body;
  }

  @Post('raw')
  raw(@Body() body: unknown): unknown {
    return { body, type: typeof body };
  }

  @Post('text')
  text(@Body() body: unknown): unknown {
    return { body, type: typeof body };
  }

  @Get()
  list(
    @Query({ schema: z.object({ limit: z.coerce.number().max(100).default(10) }) }) query: { limit: number },
  ): object {
    return query;
  }

  @Get('broken')
  broken(): never {
    throw new Error('planted inside');
  }

  @Sse('events')
  events(): Observable<{ data: string }> {
    return new Observable((subscriber) => subscriber.next({ data: 'hello' }));
  }

  @Get(':id')
  show(@Param('id', { schema: z.uuid() }) id: string): never {
    this.metrics.registry.clear();
    throw new InputError('thing-not-found', `there is no thing ${id}`);
  }
}

@Module({ controllers: [ThingController] })
class ThingModule {}

let service: Service;
const written: string[] = [];
const health = new HealthRegistry();

beforeAll(async () => {
  service = await startService({
    module: ThingModule,
    name: 'test',
    port: 0,
    host: '127.0.0.1',
    logger: createLogger({
      service: 'test',
      level: 'debug',
      destination: { write: (line) => void written.push(line) },
    }),
    health,
    json: {
      limitBytes: 2000,
      rules: [
        { path: '/things/raw', limitBytes: 10_000, parse: (text) => ({ text }) },
        { path: '/things/text', limitBytes: 50, text: 'text/csv' },
      ],
    },
  });
});

afterAll(async () => {
  await service.stop();
});

async function send(
  path: string,
  body?: string,
  headers: Record<string, string> = { 'content-type': 'application/json' },
): Promise<{ status: number; type: string | null; body: Record<string, unknown> }> {
  const response = await fetch(`${service.url}${path}`, body === undefined ? {} : { method: 'POST', body, headers });
  const text = await response.text();
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    body: text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : { text },
  };
}

describe('a service', () => {
  it('gives handlers what their schema made of the body', async () => {
    expect(await send('/things', '{"name":"a"}')).toMatchObject({ status: 201, body: { name: 'a', size: 3 } });
  });

  it('gives handlers the text of a body where a rule says so, within its limit', async () => {
    const csv = { 'content-type': 'text/csv; charset=utf-8' };
    expect(await send('/things/text', 'a,b\n1,é\n', csv)).toMatchObject({
      status: 201,
      body: { body: 'a,b\n1,é\n', type: 'string' },
    });
    expect((await send('/things/text', '{}')).status).toBe(415);
    expect((await send('/things/text', 'x'.repeat(51), csv)).status).toBe(413);
    expect((await send('/things', 'a,b', csv)).status).toBe(415);
  });

  it('names every refused field in a problem document', async () => {
    const answer = await send('/things', '{"name":"","inner":{},"extra":1}');
    expect(answer).toMatchObject({ status: 400, type: expect.stringContaining('application/problem+json') });
    expect((answer.body['errors'] as { field: string }[]).map((error) => error.field)).toEqual([
      'name',
      'inner.bucket',
      'extra',
    ]);
  });

  it('keeps a property that is called "constructor"', async () => {
    expect(await send('/things', '{"name":"a","constructor":1}')).toMatchObject({
      status: 400,
      body: { errors: [{ field: 'constructor' }] },
    });
  });

  it('validates query and path parameters', async () => {
    expect(await send('/things?limit=20')).toMatchObject({ status: 200, body: { limit: 20 } });
    expect(await send('/things?limit=2000')).toMatchObject({ status: 400, body: { at: 'limit' } });
    expect(await send('/things/not-a-uuid')).toMatchObject({ status: 400, body: { code: 'invalid-request' } });
  });

  it('answers 404 for what is not found, without repeating the query', async () => {
    expect(await send('/nowhere?email=planted@example.com')).toMatchObject({
      status: 404,
      body: { code: 'not-found' },
    });
    expect(JSON.stringify(await send('/nowhere?email=planted@example.com'))).not.toContain('planted');
  });

  it('answers a bug with 500, logs it, and shows nothing of it', async () => {
    const answer = await send('/things/broken');
    expect(answer).toMatchObject({ status: 500, body: { code: 'internal' } });
    expect(JSON.stringify(answer)).not.toContain('planted');
    expect(written.some((line) => line.includes('planted inside') && line.includes('/things/broken'))).toBe(true);
  });

  it.each([
    ['cut JSON', '{"name":', 400, 'invalid-json'],
    ['a body above the limit', JSON.stringify({ name: 'x'.repeat(3000) }), 413, 'body-too-large'],
    ['brackets without end', '['.repeat(500), 400, 'invalid-request'],
    ['no object', '7', 400, 'invalid-request'],
    ['nothing', '', 400, 'invalid-request'],
  ])('refuses %s', async (_name, body, status, code) => {
    expect(await send('/things', body)).toMatchObject({ status, body: { code } });
  });

  it('does not repeat what stood in JSON it cannot read', async () => {
    expect(JSON.stringify(await send('/things', '{"name": planted'))).not.toContain('planted');
  });

  it('refuses bodies that are not JSON', async () => {
    expect(await send('/things', 'name=a', { 'content-type': 'application/x-www-form-urlencoded' })).toMatchObject({
      status: 415,
    });
    expect(
      await send('/things', 'garbage', { 'content-type': 'application/json', 'content-encoding': 'gzip' }),
    ).toMatchObject({ status: 400 });
  });

  it('reads a path by its own rule: limit and parser', async () => {
    const digits = '{"n":0.10000000000000000000001}';
    expect(await send('/things/raw', digits)).toMatchObject({ status: 201, body: { body: { text: digits } } });
    expect(await send('/things/raw', `"${'x'.repeat(5000)}"`)).toMatchObject({ status: 201 });
  });

  it('reports health and metrics', async () => {
    expect(await send('/health/live')).toMatchObject({ status: 200 });
    expect(await send('/health/ready')).toMatchObject({ status: 200, body: { status: 'ok' } });
    health.add('database', async () => Promise.reject(new Error('down')));
    expect(await send('/health/ready')).toMatchObject({ status: 503, body: { status: 'failed' } });
    const scraped = String((await send('/metrics')).body['text']);
    const counted = scraped
      .split('\n')
      .filter((line) => line.startsWith('millrace_http_request_duration_seconds_count'));
    expect(
      counted.some((line) => ['"test"', '"POST"', '"/things"', '"201"'].every((label) => line.includes(label))),
    ).toBe(true);
    expect(scraped).not.toContain('/health');
  });

  it('gives its parts to every module', () => {
    expect(service.app.get(HEALTH)).toBe(health);
    expect(service.app.get(LOGGER)).toBeDefined();
  });

  it('stops although an event stream is open', async () => {
    const other = await startService({
      module: ThingModule,
      name: 'test',
      port: 0,
      host: '127.0.0.1',
      logger: createLogger({ service: 'test', level: 'fatal' }),
    });
    const stream = await fetch(`${other.url}/things/events`);
    const reader = stream.body?.getReader();
    await reader?.read();
    await other.stop();
    await expect(reader?.read()).rejects.toThrow();
  });
});
