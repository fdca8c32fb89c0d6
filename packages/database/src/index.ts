export type { CopiedRows, CopyOut } from './copy-out.js';
export { encodeCopyText } from './copy-text.js';
export {
  Database,
  isUniqueViolation,
  type DatabaseOptions,
  type Executor,
  type Result,
  type Transaction,
} from './database.js';
export { migrate, type MigrationSet } from './migrate.js';
export { sql, Sql } from '@millrace/sql';
