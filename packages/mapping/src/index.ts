export type {
  Catalogue,
  CatalogueDomainGroup,
  CatalogueEventType,
  CatalogueGroupType,
  CatalogueLifecycle,
  CatalogueNamespace,
  CatalogueProperty,
  CatalogueSegment,
} from './catalogue.js';
export { domainGroupOf } from './domain-group.js';
export { ColumnIndex, type ColumnTolerance } from './columns.js';
export {
  compileEventRow,
  compileListRow,
  type EventRowMapper,
  type ListRowMapper,
  type MappedEvent,
  type MappedItem,
} from './event-row.js';
export {
  compileImportRow,
  profileIdNamespaceId,
  type FieldRejection,
  type GroupLink,
  type ImportRowMapper,
  type MappedRow,
  type StagedParts,
  rowTimeColumn,
} from './import-row.js';
export { importTarget, type ImportTarget } from './group-goal.js';
export { fieldReader, type FieldReader } from './field-reader.js';
export { maxIdentifierLength, normaliseIdentifier } from './normalise-identifier.js';
export {
  describeType,
  jsonString,
  listParser,
  scalarParser,
  timestampParser,
  type ValueFormat,
} from './parse-value.js';
export {
  compileProcessors,
  inputsOf,
  outputsOf,
  processorMisfit,
  type ProcessingResult,
  type ProcessorOptions,
  type RowProcessor,
} from './processors/compile-processors.js';
export { compileSegment, readsGroupType, type SegmentCondition } from './segment-condition.js';
export { compileExportEvents, exportedEventTypeIds, type EventSeries } from './export-events.js';
export { compileExportColumns, type ExportColumns, type ExportReads } from './export-columns.js';
export { audiencesOf, partitionsOfPart, profilePartitions } from './export-audience.js';
export { remembersDelivered } from './export-demands.js';
export { type Fate, type ReceiverMemory } from './export-memory.js';
export { compileExportSelection, type ExportSelection, type SelectionOptions } from './export-selection.js';
export { lastWordsOf, openedSetting, type LastWords } from './export-told.js';
export { valueFormatMisfits, type FormatMisfit } from './value-format-misfits.js';
