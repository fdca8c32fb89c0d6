import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { Millrace } from './millrace.js';

const guide = readFileSync(new URL('../../docs/guides/first-exchange.md', import.meta.url), 'utf8');
const commands = [...guide.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block).join('\n');

const hasCurl = await promisify(execFile)('curl', ['--version']).then(
  () => true,
  () => false,
);
// The guide's reader has curl; a machine without it can run everything else.
const whereCurlIs = hasCurl ? describe : describe.skip;

whereCurlIs('the guide to a first exchange', () => {
  let millrace: Millrace;
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'millrace-guide-'));
    millrace = await Millrace.start('guide');
  });
  afterAll(async () => {
    await millrace?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('does what it says, command by command', async () => {
    const { services, stack } = millrace;
    const env = {
      PATH: process.env['PATH'],
      MILLRACE: `${services.apiUrl}/api/v1`,
      KEY: services.apiKey,
      S3: stack.urls.s3,
      S3_KEY_ID: stack.credentials.accessKeyId,
      S3_SECRET: stack.credentials.secretAccessKey,
    };
    const script = ['--norc', '-eu', '-o', 'pipefail', '-c', commands];
    const { stdout } = await promisify(execFile)('bash', script, { cwd: folder, env }).catch(
      (error: { stdout: string; stderr: string }) => {
        throw new Error(`the guide stops after ${error.stdout.slice(-1000)}\n${error.stderr}`);
      },
    );
    expect(stdout).toContain('4: points: ');
    const read = (name: string): string => readFileSync(path.join(folder, name), 'utf8');
    expect(read('collectors.csv')).toBe('Customer,City,Points\nC-1,Paris,121.0\n');
    expect(read('delta.csv')).toBe('Customer,City,Points\nC-3,Nuenen,150\n');
  });
});
