import { addAbortSignal, Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { encryptPgp } from '@millrace/crypto';
import { CharsetEncoder, formatHeader, rowFormatter } from '@millrace/delimited';
import type { ExportProfilesGoal, GoalEndpoint } from '@millrace/domain';
import type { Upload, WriteSummary } from '@millrace/object-store';
import { Coalesce } from './coalesce.js';
import { FormatRows } from './format-rows.js';
import { type PgpOptions, pgpOptions } from './pgp-options.js';

export interface PartEncoding {
  readonly goal: ExportProfilesGoal;
  readonly pgp: PgpOptions | undefined;
  /** COPY writes the dialect itself; otherwise its text format comes in and rows are formatted here. */
  readonly copied: boolean;
}

/** Throws, before anything is written, what writing a file of this goal would throw: for a dialect, header or PGP key that will not do. */
export async function checkEncoding(goal: ExportProfilesGoal, endpoint: GoalEndpoint): Promise<void> {
  rowFormatter(goal.csv);
  headerOf(goal);
  const pgp = pgpOptions(goal, endpoint);
  // Only using keys shows that they serve: an empty message is made and thrown away.
  if (pgp !== undefined) await finished(encryptPgp(Readable.from([]), pgp).resume());
}

// Its types take a list of streams, but not one with functions among them.
const pipelineOf = pipeline as (stages: readonly unknown[], options: { readonly signal: AbortSignal }) => Promise<void>;

type Bytes = AsyncIterable<Buffer>;
type Stage = (source: Bytes) => Bytes;

/**
 * Rows as COPY sends them -> [rows as the dialect writes them] -> header -> [charset] -> [gzip] -> [PGP] -> upload.
 * One pipeline: whatever fails ends all of it, and the upload is left without its last part.
 */
export async function writePartBody(
  copy: Readable,
  encoding: PartEncoding,
  upload: Upload,
  signal: AbortSignal,
): Promise<WriteSummary> {
  let summary: WriteSummary | undefined;
  const write = async (source: Bytes): Promise<void> => {
    const body = Readable.from(source, { objectMode: false, highWaterMark: 512 * 1024 });
    summary = await upload.write(addAbortSignal(signal, body));
  };
  await pipelineOf([copy, ...stages(encoding), write], { signal });
  if (summary === undefined) throw new Error('an upload ended without a summary');
  return summary;
}

function stages({ goal, pgp, copied }: PartEncoding): (NodeJS.ReadWriteStream | Stage)[] {
  const { csv } = goal;
  return [
    ...(copied ? [] : [new FormatRows(rowFormatter(csv))]),
    new Coalesce(Buffer.from(headerOf(goal))),
    // A file without header may begin with a character that reads as a byte order mark: the encoder sees to it.
    ...(csv.charset === 'utf-8' && csv.header ? [] : [new CharsetEncoder(csv.charset)]),
    // Level 1: two thirds of the time of the default for a tenth more bytes.
    ...(goal.compression === 'gzip' ? [createGzip({ level: 1, chunkSize: 128 * 1024 })] : []),
    ...(pgp === undefined ? [] : [encrypting(pgp)]),
  ];
}

function headerOf({ csv, columns }: ExportProfilesGoal): string {
  return csv.header
    ? formatHeader(
        columns.map((column) => column.header),
        csv,
      )
    : '';
}

function encrypting(pgp: PgpOptions): Stage {
  return (source) => encryptPgp(Readable.from(source, { objectMode: false, highWaterMark: 512 * 1024 }), pgp);
}
