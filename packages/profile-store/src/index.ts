export * from './definitions/definitions.js';
export { loadCatalogue } from './definitions/load-catalogue.js';
export { lockDefinitions } from './definitions/lock-definitions.js';
export { registerStreamTarget, removeStreamTarget, streamedProperties, type StreamTarget } from './definitions/stream-targets.js';
export { applyChunk, type ChunkCounts } from './merge/apply-chunk.js';
export { createStagingTable, stagingColumns, type MergeShape, type PlanStatus, type TableName } from './merge/merge-shape.js';
export { indexStaging, resolveRows, type PlanSummary } from './merge/resolve-rows.js';
export { profileMigrations } from './migrations/index.js';
