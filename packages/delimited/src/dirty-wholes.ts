import { crc32, deflateRawSync, gzipSync } from 'node:zlib';
import type { Charset } from '@millrace/domain';
import { breaksIn, changedFile, dirtyColumns, encode, type ExpectedRows, type MakeFile } from './dirty-maker.js';
import { smallRecords } from './dirty-rows.js';
import type { BadRowCode } from './row.js';

const whole = (expected: ExpectedRows): ExpectedRows => expected;
const moved =
  (by: number) =>
  (expected: ExpectedRows): ExpectedRows => ({
    ...expected,
    good: new Map([...expected.good].map(([line, fields]) => [line + by, fields])),
  });
const noRows = (): ExpectedRows => ({ good: new Map(), bad: new Map(), lost: new Set() });
const before =
  (text: string) =>
  (file: Buffer, charset: Charset): Buffer =>
    Buffer.concat([encode(text, charset), file]);
const after =
  (text: string) =>
  (file: Buffer, charset: Charset): Buffer =>
    Buffer.concat([file, encode(text, charset)]);
const oneMore =
  (code: BadRowCode) =>
  (expected: ExpectedRows): ExpectedRows => ({
    ...expected,
    bad: new Map([[lastLine(expected) + 1, code]]),
  });

function lastLine({ good }: ExpectedRows): number {
  return Math.max(...[...good].map(([line, fields]) => line + breaksIn(fields.join(''))));
}

function flipped(file: Buffer, at: number): Buffer {
  const changed = Buffer.from(file);
  changed[at] = (changed[at] ?? 0) ^ 0x55;
  return changed;
}

interface ZipEntry {
  readonly name: string;
  readonly content: Buffer;
  readonly flags?: number;
}

/** A zip of deflated entries, with sizes before the data. */
function zipOf(entries: readonly ZipEntry[]): Buffer {
  const parts: Buffer[] = [];
  for (const { name, content, flags = 0 } of entries) {
    const packed = deflateRawSync(content);
    const head = Buffer.alloc(30);
    head.writeUInt32LE(0x04034b50);
    head.writeUInt16LE(flags, 6);
    head.writeUInt16LE(8, 8);
    head.writeUInt32LE(crc32(content), 14);
    head.writeUInt32LE(packed.length, 18);
    head.writeUInt32LE(content.length, 22);
    head.writeUInt16LE(Buffer.byteLength(name), 26);
    parts.push(head, Buffer.from(name), packed);
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50);
  return Buffer.concat([...parts, end]);
}

const zipped = (file: Buffer): Buffer => zipOf([{ name: 'people.csv', content: file }]);
const padding = Buffer.alloc(300_000);

/** Damage to a file as a whole: its ends, its header, its wrapping. */
export function wholeFileDamages(): MakeFile[] {
  return [
    changedFile('two byte order marks', before('\ufeff\ufeff'), whole),
    changedFile('two byte order marks of UTF-16', before('\ufeff\ufeff'), whole, { charset: 'utf-16le' }),
    changedFile(
      'a byte order mark of UTF-16 in a file said to be Windows-1252',
      (file) => encode(`\ufeff${file.toString()}`, 'utf-16be'),
      whole,
    ),
    changedFile('a byte order mark before the sep= line', before('\ufeffsep=,\r\n'), moved(1)),
    changedFile('a byte order mark behind the sep= line', before('sep=,\r\n\ufeff'), moved(1)),
    changedFile('a sep= line that names another delimiter', before('sep=;\r\n'), 'delimiter-differs'),
    changedFile('a sep= line that names a tab', before('sep=\t\n'), 'delimiter-differs'),
    changedFile('a sep= line in UTF-16', before('\ufeffSEP=,\r\n'), moved(1), { charset: 'utf-16le' }),
    changedFile('empty lines at its beginning', before('\n\r\n\r\n'), moved(3)),
    changedFile('empty lines at its end', after('\n\r\n\r\r\n'), whole),
    changedFile('no line break at its end', (file) => file.subarray(0, -1), whole),
    changedFile('its header again behind it', after(`${dirtyColumns.join(',')}\n`), oneMore('repeated-header')),
    changedFile(
      'its header again behind it, with a byte order mark and in quotes',
      after(`\ufeff"${dirtyColumns.join('","')}"\n`),
      oneMore('repeated-header'),
    ),
    changedFile('the end mark of DOS', after('\u001a'), oneMore('too-few-fields')),
    changedFile(
      'NULs at its end, as on a full disk',
      (file) => Buffer.concat([file, Buffer.alloc(4096)]),
      oneMore('too-few-fields'),
    ),
    changedFile(
      'more NULs at its end than a row may have',
      (file) => Buffer.concat([file, Buffer.alloc(2 * 1024 * 1024)]),
      oneMore('too-long'),
    ),
    changedFile(
      'a last character of UTF-8 cut off',
      (file) => Buffer.concat([file, Buffer.from('z,Zo\u00eb').subarray(0, -1)]),
      oneMore('too-few-fields'),
    ),
    changedFile(
      'an odd byte at the end of UTF-16',
      (file) => Buffer.concat([file, Buffer.from([0x41])]),
      oneMore('too-few-fields'),
      { charset: 'utf-16le' },
    ),
    changedFile(
      'an odd byte at the end of UTF-16BE',
      (file) => Buffer.concat([file, Buffer.from([0x41])]),
      oneMore('too-few-fields'),
      { charset: 'utf-16be' },
    ),
    changedFile(
      'UTF-16 in a file said to be UTF-8',
      (file) => encode(file.toString(), 'utf-16le'),
      'header-unreadable',
    ),
    changedFile('nothing in it', () => Buffer.alloc(0), 'empty-file'),
    changedFile('nothing but a byte order mark', () => Buffer.from('\ufeff'), 'empty-file'),
    changedFile('nothing but line breaks', () => Buffer.from('\n\r\n\n'), 'empty-file'),
    changedFile('nothing but its header', (file) => file.subarray(0, file.indexOf('\n')), noRows),
    changedFile('a header with a NUL', (file) => flippedTo(file, 1, 0), 'header-unreadable'),
    changedFile('a header with a stray byte', (file) => flippedTo(file, 1, 0xff), 'header-unreadable'),
    changedFile('a header with a quote that never closes', before('"'), 'header-unreadable'),
    changedFile('a header longer than a row may be', before('x'.repeat(5000)), 'header-unreadable', smallRecords),
    changedFile('a picture', () => Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), 'not-delimited-text'),
    changedFile('a PDF', () => Buffer.from('%PDF-1.7\n%\u00e2\n'), 'not-delimited-text'),
    changedFile('a Parquet file', () => Buffer.from('PAR1\u0015\u0004'), 'not-delimited-text'),
    changedFile('zstd', () => Buffer.from('28b52ffd2000010000', 'hex'), 'not-delimited-text'),
    ...wrappedDamages(),
    ...longDamages(),
  ];
}

function flippedTo(file: Buffer, at: number, byte: number): Buffer {
  const changed = Buffer.from(file);
  changed[at] = byte;
  return changed;
}

function wrappedDamages(): MakeFile[] {
  const cut = (file: Buffer): Buffer[] => [file.subarray(0, 100), file.subarray(100)];
  return [
    changedFile('gzip, whole', (file) => gzipSync(file), whole),
    changedFile('gzip in several members', (file) => Buffer.concat(cut(file).map((part) => gzipSync(part))), whole),
    changedFile('gzip with zeros behind it', (file) => Buffer.concat([gzipSync(file), Buffer.alloc(512)]), whole),
    changedFile('gzip with many zeros behind it', (file) => Buffer.concat([gzipSync(file), padding]), whole),
    changedFile(
      'gzip with a member behind zeros',
      (file) => Buffer.concat([gzipSync(file), Buffer.alloc(512), gzipSync('z,,,\n')]),
      'gzip-damaged',
    ),
    changedFile(
      'gzip with a member behind many zeros',
      (file) => Buffer.concat([gzipSync(file), padding, gzipSync('z,,,\n')]),
      'gzip-damaged',
    ),
    changedFile(
      'gzip with text behind it',
      (file) => Buffer.concat([gzipSync(file), Buffer.from('and so on')]),
      'gzip-damaged',
    ),
    changedFile('gzip cut in its data', (file) => gzipSync(file).subarray(0, -20), 'gzip-truncated'),
    changedFile('gzip cut in its trailer', (file) => gzipSync(file).subarray(0, -3), 'gzip-truncated'),
    changedFile('gzip cut behind its header', (file) => gzipSync(file).subarray(0, 10), 'gzip-truncated'),
    changedFile('gzip of which two bytes arrived', (file) => gzipSync(file).subarray(0, 2), 'gzip-truncated'),
    changedFile(
      'gzip with a second member cut off',
      (file) => Buffer.concat([gzipSync(file), gzipSync('z,,,\n').subarray(0, 12)]),
      'gzip-truncated',
    ),
    changedFile(
      'gzip with a wrong checksum',
      (file) => flipped(gzipSync(file), gzipSync(file).length - 6),
      'gzip-damaged',
    ),
    changedFile(
      'gzip with a wrong length',
      (file) => flipped(gzipSync(file), gzipSync(file).length - 1),
      'gzip-damaged',
    ),
    changedFile('gzip in gzip', (file) => gzipSync(gzipSync(file)), 'not-delimited-text'),
    changedFile('gzip of nothing', () => gzipSync(''), 'empty-file'),
    changedFile('zip, whole', zipped, whole),
    changedFile('zip cut in its data', (file) => zipped(file).subarray(0, 150), 'zip-truncated'),
    changedFile('zip cut before its end record', (file) => zipped(file).subarray(0, -22), 'zip-truncated'),
    changedFile('zip cut in its header', (file) => zipped(file).subarray(0, 20), 'zip-truncated'),
    changedFile('zip with a wrong checksum', (file) => flipped(zipped(file), 15), 'zip-damaged'),
    changedFile('zip with a wrong size', (file) => flipped(zipped(file), 22), 'zip-damaged'),
    changedFile(
      'zip with a password',
      (file) => zipOf([{ name: 'people.csv', content: file, flags: 1 }]),
      'zip-encrypted',
    ),
    changedFile(
      'zip of two files',
      (file) =>
        zipOf([
          { name: 'a.csv', content: file },
          { name: 'b.csv', content: file },
        ]),
      'zip-several-files',
    ),
    changedFile('zip of nothing', () => zipOf([]), 'zip-empty'),
    changedFile(
      'zip with what macOS adds',
      (file) =>
        zipOf([
          { name: 'people.csv', content: file },
          { name: '__MACOSX/._people.csv', content: file },
        ]),
      whole,
    ),
    changedFile('zip in zip', (file) => zipOf([{ name: 'people.zip', content: zipped(file) }]), 'not-delimited-text'),
    changedFile(
      'an Excel workbook',
      () => zipOf([{ name: '[Content_Types].xml', content: Buffer.from('<Types/>') }]),
      'not-delimited-text',
    ),
    changedFile('gzip of UTF-16', (file) => gzipSync(file), whole, { charset: 'utf-16be' }),
    changedFile('zip of Windows-1252', zipped, whole, { charset: 'windows-1252' }),
  ];
}

const fieldBytes = 50_000_000;

/** Fields of 50 MB: each costs its row, and no memory. */
function longDamages(): MakeFile[] {
  const withLong =
    (record: (filler: string) => string) =>
    (file: Buffer, charset: Charset): Buffer =>
      Buffer.concat([file, encode(record('0123456789'.repeat(fieldBytes / 10)), charset), encode('\n', charset)]);
  const twice =
    (change: (file: Buffer, charset: Charset) => Buffer) =>
    (file: Buffer, charset: Charset): Buffer => {
      const header = encode(`${dirtyColumns.join(',')}\n`, charset).length;
      return Buffer.concat([change(file.subarray(0, header), charset), file.subarray(header)]);
    };
  const first =
    (code: BadRowCode) =>
    (expected: ExpectedRows): ExpectedRows => ({
      ...moved(1)(expected),
      bad: new Map([[2, code]]),
    });
  return [
    changedFile(
      'a field of 50 MB in its last row',
      withLong((long) => `z,${long},,`),
      oneMore('too-long'),
    ),
    changedFile('a field of 50 MB in its first row', twice(withLong((long) => `z,${long},,`)), first('too-long')),
    changedFile(
      'a quoted field of 50 MB in its first row',
      twice(withLong((long) => `z,"${long}",,`)),
      first('unclosed-quote'),
    ),
    changedFile(
      'a field of 50 MB in its first row, Windows-1252',
      twice(withLong((long) => `z,${long},,`)),
      first('too-long'),
      { charset: 'windows-1252' },
    ),
    changedFile(
      'a field of 50 MB, gzipped',
      (file) => gzipSync(withLong((long) => `z,${long},,`)(file, 'utf-8')),
      oneMore('too-long'),
    ),
  ];
}
