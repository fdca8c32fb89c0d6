export { encodeCopyText } from './copy-text.js';
export {
  type CopyOut,
  Database,
  isUniqueViolation,
  type DatabaseOptions,
  type Executor,
  type Result,
  type Transaction,
} from './database.js';
export { migrate, type MigrationSet } from './migrate.js';
export { sql, Sql } from '@millrace/sql';
