export { checkDialect } from './dialect.js';
export { fieldKind, interpretField, type FieldValue } from './field-value.js';
export { readTable, type ReadOptions, type Table } from './read-table.js';
export type { BadRow, BadRowCode, GoodRow, ParsedRow, RowBatch } from './row.js';
