export { awsAccess, testUrl } from './environment.js';
export { FaultProxy, type Fault, type FaultRule, type SeenRequest } from './fault-proxy.js';
export { gate, hold, letAllGo, type Gate, type Hold } from './hold.js';
export { startPrivatePostgres, type PrivatePostgres } from './private-postgres.js';
export { startPrivateRedis, type PrivateRedis } from './private-redis.js';
export { ServiceProcess } from './service-process.js';
export type { Standby } from './standby.js';
export {
  assertTestDatabase,
  createTestDatabase,
  dropTestDatabase,
  type TestDatabase,
  type TestDatabaseOptions,
} from './test-database.js';
export { createTestBucket, createTestStream, testRedisUrl } from './test-resources.js';
export { waitFor } from './wait-for.js';
