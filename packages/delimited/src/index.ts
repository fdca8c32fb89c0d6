export { CharsetEncoder, type EncoderOptions } from './charset-encoder.js';
export { copyOptions, type CopyOptions } from './copy-options.js';
export { decompress, type DecompressLimits } from './decompress.js';
export { checkDialect, checkWritable } from './dialect.js';
export { fieldKind, interpretField, type FieldValue } from './field-value.js';
export { readTable, type ReadOptions, type Table } from './read-table.js';
export type { BadRow, BadRowCode, GoodRow, ParsedRow, RowBatch } from './row.js';
export { formatHeader, rowFormatter, type RowFormatter } from './row-formatter.js';
export {
  sniffDialect,
  sniffWrapping,
  type SniffedColumn,
  type SniffedDialect,
  type Wrapping,
} from './sniff-dialect.js';
export { isZip } from './unzip.js';
