import { once } from 'node:events';
import { createWriteStream, existsSync, mkdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { benchDirectory } from './bench-stack.js';

/** Writes a file of so many rows once and keeps it. `row` makes row n, from 0, without its line feed. Resolves to the path. */
export async function csvFile(name: string, rows: number, header: string, row: (n: number) => string): Promise<string> {
  const file = path.join(benchDirectory, `${name}.csv`);
  if (existsSync(file)) return file;
  mkdirSync(benchDirectory, { recursive: true });
  const out = createWriteStream(`${file}.part`);
  let text = `${header}\n`;
  for (let n = 0; n < rows; n += 1) {
    text += `${row(n)}\n`;
    if (text.length > 1 << 20) {
      if (!out.write(text)) await once(out, 'drain');
      text = '';
    }
  }
  out.end(text);
  await once(out, 'close');
  renameSync(`${file}.part`, file);
  return file;
}
