import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import type { CopiedRows, CopyOut } from '@millrace/database';
import { type ExportProfilesGoal, exportProfilesGoal } from '@millrace/domain';
import type { Upload } from '@millrace/object-store';
import { writeFiles } from './part-stream.js';

const goalOf = (goal: Partial<ExportProfilesGoal>): ExportProfilesGoal =>
  exportProfilesGoal.parse({
    kind: 'export-profiles',
    name: 'people',
    segmentId: '01890000-0000-7000-8000-000000000001',
    target: { bucket: 'some-bucket', directory: '' },
    columns: [{ header: 'text', source: { kind: 'fixed', text: '' } }],
    ...goal,
  });

/** Rows that are scratched out the moment they are given back. */
function scratching(rows: readonly string[]): { readonly copy: CopyOut; readonly released: () => number } {
  let released = 0;
  function* copied(): Generator<CopiedRows> {
    for (const row of rows) {
      const bytes = Buffer.from(row);
      yield {
        bytes,
        ends: [bytes.length],
        release: () => {
          released += 1;
          bytes.fill('#');
        },
      };
    }
  }
  return { copy: Readable.from(copied(), { highWaterMark: 4 }) as CopyOut, released: () => released };
}

async function write(copy: CopyOut, goal: ExportProfilesGoal): Promise<Buffer> {
  let content = Buffer.alloc(0);
  const upload: Partial<Upload> = {
    write: async (source) => {
      content = Buffer.concat(await source.toArray());
      return { bytes: content.length, sha256: '', parts: 1, receipt: '' };
    },
  };
  await writeFiles(
    copy,
    { goal, headers: ['text'], pgp: undefined, rows: undefined, limits: undefined },
    { open: async () => upload as Upload, close: async () => undefined },
    new AbortController().signal,
  );
  return content;
}

// Small ones, which a stream would gather, and ones that do not shrink.
const rows = Array.from({ length: 300 }, (_, index) => {
  return index % 3 === 0 ? `${randomBytes(60_000).toString('base64')}\n` : `row ${index}\n`;
});

describe('writeFiles', () => {
  it('gives buffers back once they are compressed, not before', async () => {
    const { copy, released } = scratching(rows);
    const file = gunzipSync(await write(copy, goalOf({ compression: 'gzip' })));
    expect(file.equals(Buffer.from(`text\n${rows.join('')}`))).toBe(true);
    expect(released()).toBe(rows.length);
  });

  it('gives none back that may still be on their way', async () => {
    const { copy, released } = scratching(rows);
    const file = await write(copy, goalOf({ compression: 'none' }));
    expect(file.equals(Buffer.from(`text\n${rows.join('')}`))).toBe(true);
    expect(released()).toBe(0);
  });
});
