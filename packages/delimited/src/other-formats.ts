/** First bytes of files that are sent in place of delimited text, and what to tell the sender. */
const formats: readonly { readonly name: string; readonly bytes: Buffer }[] = [
  { name: 'a zip archive or an Excel workbook', bytes: Buffer.from('PK\x03\x04', 'latin1') },
  { name: 'an old Excel workbook', bytes: Buffer.from('d0cf11e0a1b11ae1', 'hex') },
  { name: 'compressed with gzip', bytes: Buffer.from('1f8b08', 'hex') },
  { name: 'compressed with zstd', bytes: Buffer.from('28b52ffd', 'hex') },
  { name: 'compressed with bzip2', bytes: Buffer.from('314159265359', 'hex') },
  { name: 'compressed with xz', bytes: Buffer.from('fd377a585a00', 'hex') },
  { name: 'a Parquet file', bytes: Buffer.from('PAR1') },
  { name: 'an Avro file', bytes: Buffer.from('Obj\x01', 'latin1') },
  { name: 'a PDF document', bytes: Buffer.from('%PDF-') },
  { name: 'encrypted with PGP', bytes: Buffer.from('-----BEGIN PGP ') },
  { name: 'a PNG image', bytes: Buffer.from('89504e470d0a1a0a', 'hex') },
];

/** What a file is instead of delimited text, for a sentence beginning "the file is"; undefined if nothing speaks against text. */
export function otherFormat(head: Buffer): string | undefined {
  return formats.find(({ name, bytes }) => {
    const at = name.endsWith('bzip2') ? 4 : 0;
    return head.subarray(at, at + bytes.length).equals(bytes);
  })?.name;
}
