import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

describe('encryptPgp with signing', () => {
  it('ends with the error of its source, and leaves no rejection that would end the process', async () => {
    const script = path.join(import.meta.dirname, 'failing-source.mjs');
    const { NODE_OPTIONS: _, ...env } = process.env;
    await promisify(execFile)(process.execPath, ['--unhandled-rejections=throw', script], { env });
  });
});
