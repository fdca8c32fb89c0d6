import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('./service-process.mjs', import.meta.url));
const children: ChildProcess[] = [];

afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
});

interface Started {
  readonly child: ChildProcess;
  readonly lines: AsyncIterator<string>;
  readonly errors: () => string;
  /** Exit code. */
  readonly exit: Promise<number | null>;
}

function start(env: Record<string, string>): Started {
  const child = spawn(process.execPath, [script], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  return {
    child,
    lines: createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator](),
    errors: () => errors,
    exit: once(child, 'close').then(([code]) => code as number | null),
  };
}

async function lineWith(lines: AsyncIterator<string>, text: string): Promise<Record<string, unknown>> {
  for (;;) {
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`no line with "${text}"`);
    if (String(value).includes(text)) return JSON.parse(String(value)) as Record<string, unknown>;
  }
}

describe('bootstrap', () => {
  it('stops on SIGTERM after its shutdown hooks and exits 0', async () => {
    const service = start({ MILLRACE_PORT: '0', HOOK_MS: '300' });
    await lineWith(service.lines, 'test is up');
    service.child.kill('SIGTERM');
    await lineWith(service.lines, 'hook done');
    await lineWith(service.lines, 'stopped');
    expect(await service.exit).toBe(0);
  });

  it('ends at once on a second signal', async () => {
    const service = start({ MILLRACE_PORT: '0', HOOK_MS: '600000' });
    await lineWith(service.lines, 'test is up');
    service.child.kill('SIGINT');
    await lineWith(service.lines, 'stopping');
    service.child.kill('SIGINT');
    expect(await service.exit).toBe(1);
  });

  it('ends although a hook hangs', async () => {
    const service = start({ MILLRACE_PORT: '0', HOOK_MS: '600000' });
    await lineWith(service.lines, 'test is up');
    const askedAt = performance.now();
    service.child.kill('SIGTERM');
    expect(await service.exit).toBe(1);
    expect(performance.now() - askedAt).toBeLessThan(60_000);
  });

  it('says that the port is taken, in one line without a stack, and exits 1', async () => {
    const other = createServer().listen(0, '0.0.0.0');
    await once(other, 'listening');
    const address = other.address();
    const port = typeof address === 'object' ? String(address?.port) : '';
    const service = start({ MILLRACE_PORT: port });
    const line = await lineWith(service.lines, `port ${port} is taken`);
    expect(JSON.stringify(line)).not.toMatch(/stack| at /);
    expect(await service.exit).toBe(1);
    expect(service.errors()).toBe('');
    other.close();
  });

  it('prints every wrong variable and exits 1', async () => {
    const service = start({ MILLRACE_PORT: 'eighty', HOOK_MS: 'x' });
    expect(await service.exit).toBe(1);
    expect(service.errors()).toMatch(/MILLRACE_PORT: .*\n.*HOOK_MS: /);
    expect(service.errors()).not.toMatch(/ at /);
  });

  it('logs an error nobody handled and exits 1', async () => {
    const service = start({ MILLRACE_PORT: '0', REJECT: 'yes' });
    expect(await lineWith(service.lines, 'was not handled')).toMatchObject({
      level: 'fatal',
      err: { message: 'nobody waits for me' },
    });
    expect(await service.exit).toBe(1);
  });
});
