export {
  startStack,
  type AwsCredentials,
  type Stack,
  type StackOptions,
  type StackUrls,
  type StandIn,
} from './stack.js';
export { StackError } from './stack-error.js';
export { standInCredentials } from './stand-ins/aws-stand-ins.js';
export { BucketClient, type StoredObject } from './aws/bucket-client.js';
export { StreamClient, type ReadRecord } from './aws/stream-client.js';
export type { AwsAccess } from './aws/signature.js';
export { ask as askRedis } from './stand-ins/redis.js';
export {
  migrateServices,
  serviceEnvironment,
  serviceNames,
  startServices,
  type ServiceName,
  type Services,
  type ServicesOptions,
} from './services.js';
export { generateSampleData, type SampleFacts, type SampleSizes } from './sample-data/generate.js';
export { sampleLinks, sampleNullWords, sampleOrderEvents, samplePersonMappings } from './sample-data/sample-mapping.js';
