export { addMissingProperties, type MissingProperty } from './definitions/add-missing.js';
export * from './definitions/definitions.js';
export {
  createDomainGroup,
  deleteDomainGroup,
  listDomainGroups,
  renameDomainGroup,
  type DomainGroupRecord,
} from './definitions/domain-groups.js';
export { addGroupProperty, createGroupType, listGroupTypes } from './definitions/group-types.js';
export { deleteLifecycle, listLifecycles, putLifecycle, type LifecycleRecord } from './definitions/lifecycles.js';
export { loadCatalogue } from './definitions/load-catalogue.js';
export { lockDefinitions } from './definitions/lock-definitions.js';
export {
  registerStreamTarget,
  removeStreamTarget,
  streamedProperties,
  type StreamTarget,
} from './definitions/stream-targets.js';
export { eraseProfiles } from './erase/erase-profiles.js';
export { type ErasureReader, lastWordsPlace, registerErasureReader, removeErasureReader } from './erase/last-words.js';
export { removeOldTombstones } from './erase/remove-tombstones.js';
export { ambiguousRows, type AmbiguousRow } from './merge/ambiguous-rows.js';
export { applyChunk, type ChunkCounts } from './merge/apply-chunk.js';
export { feedsOfTypes } from './merge/feed-products.js';
export {
  createStagingTable,
  stagingColumns,
  type MergeShape,
  type PlanStatus,
  type ProductFeed,
  type TableName,
} from './merge/merge-shape.js';
export { otherUnitLines, unmatchedLines } from './merge/unapplied-lines.js';
export { recentOfEach, recentProfiles, type RecentProfiles } from './merge/recent-profiles.js';
export { indexStaging, resolveRows, type PlanSummary } from './merge/resolve-rows.js';
export { profileMigrations } from './migrations/index.js';
export { applyMoved, type MovedCounts } from './merge/apply-moved.js';
export {
  domainGroupsWith,
  findProfile,
  profileById,
  type IdentityQuery,
  storeStatistics,
  type StoreStatistics,
} from './profiles/find-profile.js';
export { setProductFeed } from './products/product-feed.js';
export { boughtProducts, productById, type BoughtQuery } from './products/read-products.js';
export { findGroup } from './profiles/find-group.js';
export { groupPropertiesText } from './profiles/group-properties.js';
export { putGroup, type GroupUpdate } from './profiles/put-group.js';
export { buildSegments } from './segments/build-segments.js';
export { checkTimers } from './segments/check-timers.js';
export {
  createSegment,
  deleteSegment,
  listSegments,
  segmentById,
  updateSegment,
  type SegmentRecord,
} from './segments/segments.js';
export { ingestBatch, type IngestOptions } from './ingest/ingest-batch.js';
