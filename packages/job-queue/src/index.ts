export { canonicalHash, canonicalJson } from './canonical-json.js';
export { claimUnit, type ClaimedUnit, type ClaimOptions } from './claim-unit.js';
export {
  findWaitingCommand,
  sendCommand,
  takeCommands,
  waitingCommands,
  type CommandKind,
  type CommandOf,
} from './command.js';
export { loadGoalSnapshot, saveGoalSnapshot, type SavedSnapshot } from './goal-snapshot.js';
export { JobQueueModule, WAKE_UPS, type JobQueueModuleOptions } from './job-queue.module.js';
export { LaneShare, type LaneShareOptions } from './lane-share.js';
export {
  beginUnderLease,
  beginUnderLeases,
  LeaseLostError,
  leaseRemainingMs,
  Leases,
  type Lease,
  type TakeOptions,
} from './lease.js';
export type { Log } from './log.js';
export { workMigrations } from './migrations.js';
export { newOwner } from './owner.js';
export { repeat, type Repeating, type RepeatOptions } from './repeat.js';
export { removeExpiredWork, type Retention } from './retention.js';
export { RunEvents, writeRunEvent, type RunEvent, type RunEventTarget } from './run-event.js';
export {
  cancelUnit,
  childUnits,
  failUnit,
  finishUnit,
  handBackUnit,
  hastenUnit,
  openGoalUnit,
  openUnit,
  retryUnit,
  type Counts,
  type OpenGoalUnit,
  type Unit,
  type UnitQueue,
  type UnitState,
  type UnitStatus,
} from './unit.js';
export type { StopReason, UnitContext, UnitEnd, UnitHandler, UnitOutcome } from './unit-run.js';
export { UnitWorker, type UnitWorkerOptions } from './unit-worker.js';
export {
  consumeWakeUps,
  createMemoryWakeUps,
  type Consumer,
  type PlainQueue,
  type WakeUp,
  type WakeUps,
} from './wake-ups.js';
