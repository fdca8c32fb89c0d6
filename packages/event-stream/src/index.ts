export { aggregatedPutLimits, aggregating, type AggregationOptions } from './aggregating-event-stream.js';
export type {
  EventStream,
  PutOptions,
  PutResult,
  StoredRecord,
  StreamDescription,
  StreamRecord,
} from './event-stream.js';
export { createKinesisEventStream, type KinesisEventStreamOptions } from './kinesis-event-stream.js';
export { kinesisPolicy } from './kinesis-policy.js';
export { createMemoryEventStream, type MemoryEventStreamOptions } from './memory-event-stream.js';
export { PutFailedError } from './put-failed-error.js';
export {
  defaultPutLimits,
  maxBytesPerPut,
  maxPartitionKey,
  maxRecordsPerPut,
  partitionKeyOf,
  recordBytes,
  splitBatches,
  type PutLimits,
} from './put-limits.js';
