import { Transform, type TransformCallback } from 'node:stream';

const lineFeed = 0x0a;
const nothing = Buffer.alloc(0);
const unescaped: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

/**
 * The fields of one line of COPY's text format, without its line feed; null where it says `\N`.
 * https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS
 */
export function parseCopyLine(line: string): (string | null)[] {
  const fields: (string | null)[] = line.split('\t');
  if (!line.includes('\\')) return fields;
  return fields.map((field) => {
    if (field === '\\N') return null;
    return field?.replaceAll(/\\(.)/gsu, (_, character: string) => unescaped[character] ?? character) ?? null;
  });
}

/** COPY's text format in, rows as `format` writes them out: for what COPY cannot write itself. */
export class FormatRows extends Transform {
  readonly #format: (fields: readonly (string | null)[]) => string;
  #rest: Buffer = nothing;

  constructor(format: (fields: readonly (string | null)[]) => string) {
    super({ readableHighWaterMark: 256 * 1024, writableHighWaterMark: 256 * 1024 });
    this.#format = format;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    const end = chunk.lastIndexOf(lineFeed);
    if (end === -1) {
      this.#rest = Buffer.concat([this.#rest, chunk]);
      callback();
      return;
    }
    const whole = chunk.subarray(0, end);
    const lines = this.#rest.length === 0 ? whole : Buffer.concat([this.#rest, whole]);
    this.#rest = chunk.subarray(end + 1);
    try {
      let text = '';
      for (const line of lines.toString('utf8').split('\n')) text += this.#format(parseCopyLine(line));
      callback(null, Buffer.from(text));
    } catch (error) {
      callback(error as Error);
    }
  }

  override _flush(callback: TransformCallback): void {
    callback(this.#rest.length === 0 ? null : new Error('COPY ended in the middle of a row'));
  }
}
