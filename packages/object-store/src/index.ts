export { createFolderObjectStore, type FolderObjectStoreOptions } from './folder-object-store.js';
export { doneSuffix } from './object-store.js';
export type {
  ObjectInfo,
  ObjectStore,
  OpenUpload,
  PermissionNeeds,
  ReadOptions,
  Upload,
  UploadOptions,
  WriteSummary,
} from './object-store.js';
export { createS3ObjectStore, type S3ObjectStoreOptions } from './s3-object-store.js';
export { s3Policy, type BucketUse } from './s3-policy.js';
