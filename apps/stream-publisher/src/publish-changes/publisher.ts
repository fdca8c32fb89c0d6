import type { Database } from '@millrace/database';
import { LaneShare, repeat, type Repeating, type WakeUps } from '@millrace/job-queue';
import type { Logger } from '@millrace/service-kit';
import { handleCommands } from '../activate-stream/handle-commands.js';
import { queueBackfillSlice, type SliceLimits } from '../storage/backfills.js';
import { readBacklog } from '../storage/backlog.js';
import { removeOldDeadLetters, removeOldReplays } from '../storage/dead-letters.js';
import { addGoalCounts } from '../storage/goal-totals.js';
import { removeOrphans } from '../storage/goals.js';
import { OutboxHorizon } from '../storage/outbox-horizon.js';
import { GoalRegistry, type OpenStream } from './goal-registry.js';
import { heldLanes, laneOf, laneResources, type HeldLanes } from './held-lanes.js';
import { LaneSlot, type LaneSlotOptions } from './lane-slot.js';
import type { PublisherEvents } from './publisher.events.js';
import type { SendingGoal } from './sending-goal.js';

export interface PublisherSettings extends LaneSlotOptions {
  /** Loops side by side, each with its share of the lanes; as many requests per goal may be under way. */
  readonly slots: number;
  readonly leaseMs: number;
  readonly backfill: SliceLimits;
  readonly backlogEveryMs: number;
  /** How often what the goals did is added to their totals. */
  readonly totalsEveryMs: number;
  /** Dead letters are kept so long. */
  readonly deadLetterDays: number;
}

const retentionEveryMs = 3_600_000;

interface PublisherOptions {
  /** At least one connection per slot and two more. */
  readonly database: Database;
  /** A pool of its own, so that busy slots never starve a heartbeat. */
  readonly leaseDatabase: Database;
  readonly wakeUps: WakeUps;
  readonly openStream: OpenStream;
  readonly events: PublisherEvents;
  /** Unique per process. */
  readonly owner: string;
  readonly log: Logger;
  readonly settings: PublisherSettings;
}

/** One publisher process: its lanes, the slots that send for them, commands, backfills and the backlog's figures. */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #registry: GoalRegistry;
  readonly #lanes: LaneShare;
  readonly #horizon = new OutboxHorizon();
  readonly #slots: readonly LaneSlot[];
  readonly #control: Repeating;
  readonly #backfill: Repeating;
  readonly #backlog: Repeating;
  readonly #totals: Repeating;
  readonly #retention: Repeating;
  #unsubscribe: () => void = () => undefined;

  constructor(options: PublisherOptions) {
    const { database, events, settings } = options;
    this.#options = options;
    this.#registry = new GoalRegistry(database, options.openStream, events);
    this.#lanes = new LaneShare({
      database: options.leaseDatabase,
      kind: 'stream-lane',
      resources: laneResources,
      owner: options.owner,
      leaseTtlMs: settings.leaseMs,
      // A request sent at the last moment may still be on its way that long.
      graceMs: settings.requestTimeoutMs,
      beforeRelease: async (resources) => {
        const lanes = new Set(resources.map(laneOf));
        await Promise.all(this.#slots.map((slot) => slot.drain(lanes)));
      },
      log: options.log,
    });
    this.#slots = Array.from({ length: settings.slots }, (_, index) => {
      const lanes = (): HeldLanes => heldLanes(this.#lanes.held(), index, settings.slots);
      const goals = (): readonly SendingGoal[] => this.#registry.goals();
      return new LaneSlot({ database, lanes, goals, horizon: this.#horizon, events }, settings);
    });
    const repeated = (
      name: string,
      times: { readonly intervalMs: number; readonly minGapMs: number },
      work: () => Promise<boolean | void>,
    ): Repeating => repeat({ name, ...times, log: options.log, onError: (error) => events.turnFailed(error) }, work);
    const every = (ms: number): { intervalMs: number; minGapMs: number } => ({ intervalMs: ms, minGapMs: ms });
    this.#control = repeated('reading commands', { intervalMs: 1000, minGapMs: 200 }, () => this.#handleControl());
    this.#backfill = repeated('queueing backfill', { intervalMs: 1000, minGapMs: 20 }, () => this.#queueBackfill());
    this.#backlog = repeated('looking at the backlog', every(settings.backlogEveryMs), () => this.#lookAtBacklog());
    this.#totals = repeated('writing totals', every(settings.totalsEveryMs), () => this.#writeTotals());
    this.#retention = repeated('removing what is old', every(retentionEveryMs), () => this.#removeOld());
  }

  /** Resolves when the first lanes are held, or the first try to get some has failed. */
  async start(): Promise<void> {
    void this.#control.now();
    await this.#lanes.start();
    for (const slot of this.#slots) slot.start();
    void this.#backfill.now();
    void this.#backlog.now();
    void this.#totals.now();
    void this.#retention.now();
    this.#unsubscribe = this.#options.wakeUps.onWakeUp('stream-lane', () => {
      for (const slot of this.#slots) slot.wake();
      void this.#control.now();
    });
  }

  /** Ends the requests under way, writes down their outcome and gives the lanes back, for a successor to take at once. */
  async stop(): Promise<void> {
    this.#unsubscribe();
    await Promise.all([
      this.#control.stop(),
      this.#backfill.stop(),
      this.#backlog.stop(),
      this.#totals.stop(),
      this.#retention.stop(),
      ...this.#slots.map((slot) => slot.stop()),
    ]);
    await this.#lanes.stop();
    this.#registry.close();
    // Figures only: that they are lost must not make a stop fail.
    await this.#writeTotals().catch((error: unknown) => this.#options.events.turnFailed(error));
  }

  /** How many lanes are held now. */
  get lanesHeld(): number {
    return this.#lanes.held().size;
  }

  async #handleControl(): Promise<void> {
    const { database, events } = this.#options;
    const handled = await handleCommands(database, events);
    await this.#registry.refresh();
    await this.#horizon.advance(database);
    if (handled > 0) {
      void this.#backfill.now();
      for (const slot of this.#slots) slot.lookEverywhere();
    }
  }

  async #lookAtBacklog(): Promise<void> {
    const { database, events } = this.#options;
    const { goals, outboxSeconds } = await readBacklog(database);
    events.backlog(goals, outboxSeconds);
  }

  async #writeTotals(): Promise<void> {
    const { database, events } = this.#options;
    const counts = events.takeCounts();
    if (counts.size === 0) return;
    try {
      await addGoalCounts(database, counts);
    } catch (error) {
      events.giveBackCounts(counts);
      throw error;
    }
  }

  async #removeOld(): Promise<void> {
    const { database, events, settings } = this.#options;
    let [removed, last] = [0, 0];
    do {
      last = await removeOldDeadLetters(database, settings.deadLetterDays);
      removed += last;
    } while (last > 0);
    await removeOldReplays(database, settings.deadLetterDays);
    await removeOrphans(database);
    if (removed > 0) events.deadLettersRemoved(removed);
  }

  /** Returns whether there may be more to queue. */
  async #queueBackfill(): Promise<boolean> {
    const slice = await queueBackfillSlice(this.#options.database, this.#options.settings.backfill);
    if (slice === undefined) return false;
    this.#options.events.backfillSlice(slice);
    for (const slot of this.#slots) slot.lookEverywhere();
    return true;
  }
}
