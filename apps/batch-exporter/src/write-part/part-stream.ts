import { addAbortSignal, Readable, type TransformOptions } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { createGzip, type ZlibOptions } from 'node:zlib';
import { encryptPgp, signPgp } from '@millrace/crypto';
import type { CopiedRows, CopyOut } from '@millrace/database';
import { CharsetEncoder, formatHeader, rowFormatter } from '@millrace/delimited';
import { type ExportProfilesGoal, type GoalEndpoint, InputError } from '@millrace/domain';
import type { Upload, WriteSummary } from '@millrace/object-store';
import { FileCutter, type FileLimits } from './cut-files.js';
import { type PgpOptions, pgpOptions } from './pgp-options.js';
import { headersOf, processedRows, type RowWriter } from './write-rows.js';

/** How the rows of a COPY become the bytes of files. */
export interface PartEncoding {
  readonly goal: ExportProfilesGoal;
  readonly headers: readonly string[];
  readonly pgp: PgpOptions | undefined;
  /** Undefined: COPY writes the dialect itself; otherwise its text format comes in. */
  readonly rows: RowWriter | undefined;
  /** Undefined: all rows in one file. */
  readonly limits: FileLimits | undefined;
}

export interface WrittenFile {
  readonly rows: number;
  readonly summary: WriteSummary;
  /** Characters the charset lacks, written as `?`. */
  readonly charactersReplaced: number;
}

/** Where the files go, one after the other. */
export interface FileSink {
  /** For the next file, when there is something to write into it; the first is there in any case. */
  open(): Promise<Upload>;
  /** @param last no other follows */
  close(file: WrittenFile, last: boolean): Promise<void>;
}

/** Throws, before anything is written, what writing a file of this goal would throw: for a dialect, header, processor or PGP key that will not do. */
export async function checkEncoding(goal: ExportProfilesGoal, endpoint: GoalEndpoint): Promise<void> {
  rowFormatter(goal.csv);
  headerText(goal, headersOf(goal));
  processedRows(goal, { pseudonymKey: new Uint8Array(32), now: new Date(0) });
  const pgp = pgpOptions(goal, endpoint);
  // Only using keys shows that they serve: an empty message is made and thrown away.
  if (pgp !== undefined) await finished(wrapPgp(Readable.from([]), pgp).resume());
}

const gzipOptions: ZlibOptions & Pick<TransformOptions, 'writableHighWaterMark'> = {
  // Two thirds of the time of the default for a tenth more bytes.
  level: 1,
  chunkSize: 128 * 1024,
  // Each chunk is compressed before the next one is asked for: the cutter gives its buffer back then.
  writableHighWaterMark: 1,
};

// Its types take a list of streams, but not one with functions among them.
const pipelineOf = pipeline as (stages: readonly unknown[], options: { readonly signal: AbortSignal }) => Promise<void>;

type Bytes = AsyncIterable<Buffer>;

/**
 * Rows as COPY sends them -> [rows as the dialect writes them] -> cut into files, each: header and rows -> [charset] -> [gzip]
 * -> [PGP] -> upload. Whatever fails ends all of it, and the upload is left without its last part.
 */
export async function writeFiles(
  copy: CopyOut,
  encoding: PartEncoding,
  sink: FileSink,
  signal: AbortSignal,
): Promise<void> {
  const { goal, headers, rows, limits } = encoding;
  const header = Buffer.from(headerText(goal, headers));
  const write = async (copied: AsyncIterable<CopiedRows>): Promise<void> => {
    const asWritten = rows === undefined ? copied : writing(copied, rows);
    const isConsumed = goal.compression === 'gzip' && !isEncoded(goal);
    const cutter = new FileCutter(asWritten, limits, header, goal.csv.charset, isConsumed);
    for (let file = await cutter.next(); file !== undefined;) {
      const upload = await sink.open();
      const written = await writeBody(file.body(), encoding, upload, signal);
      const next = await cutter.next();
      await sink.close({ ...written, rows: file.rows }, next === undefined);
      file = next;
    }
  };
  await pipelineOf([copy, write], { signal });
}

async function writeBody(
  content: Bytes,
  { goal, pgp }: PartEncoding,
  upload: Upload,
  signal: AbortSignal,
): Promise<Omit<WrittenFile, 'rows'>> {
  const { csv, compression } = goal;
  const encoder = isEncoded(goal) ? new CharsetEncoder(csv.charset, { unencodable: csv.unencodable }) : undefined;
  let summary: WriteSummary | undefined;
  const write = async (bytes: Bytes): Promise<void> => {
    const body = Readable.from(bytes, { objectMode: false, highWaterMark: 512 * 1024 });
    summary = await upload.write(addAbortSignal(signal, body));
  };
  await pipelineOf(
    [
      content,
      ...(encoder === undefined ? [] : [encoder]),
      ...(compression === 'gzip' ? [createGzip(gzipOptions)] : []),
      ...(pgp === undefined ? [] : [wrapping(pgp)]),
      write,
    ],
    { signal },
  );
  if (summary === undefined) throw new Error('an upload ended without a summary');
  return { summary, charactersReplaced: encoder?.replaced ?? 0 };
}

/** A file without header may begin with a character that reads as a byte order mark: the encoder sees to it. */
function isEncoded({ csv }: ExportProfilesGoal): boolean {
  return csv.charset !== 'utf-8' || !csv.header;
}

async function* writing(source: AsyncIterable<CopiedRows>, rows: RowWriter): AsyncGenerator<CopiedRows> {
  for await (const copied of source) {
    const written = rows.write(copied);
    copied.release?.();
    yield written;
  }
}

function headerText({ csv }: ExportProfilesGoal, headers: readonly string[]): string {
  return csv.header ? formatHeader(headers, csv) : '';
}

function wrapping(pgp: PgpOptions): (source: Bytes) => Bytes {
  return (source) => wrapPgp(Readable.from(source, { objectMode: false, highWaterMark: 512 * 1024 }), pgp);
}

function wrapPgp(source: Readable, { recipients, signWith }: PgpOptions): Readable {
  if (recipients.length > 0) return encryptPgp(source, { recipients, signWith });
  if (signWith === undefined) throw new InputError('pgp-recipients-missing', 'there is no key to encrypt or sign with');
  return signPgp(source, signWith);
}
