import { sql, type Executor } from '@millrace/database';

interface Mark {
  /** Every number up to here had been given out when the mark was made. */
  readonly id: bigint;
  /** The first transaction that had not begun then. */
  readonly firstLater: bigint;
}

/**
 * Up to which number no outbox row can appear any more. Writers take numbers before they commit, so a row may show up behind
 * others; but once every transaction that was under way when a number was given out has ended, nothing below it is still to come.
 *
 * Why it matters: rows taken are gone, but their index entries stay until no snapshot needs them. A long export would make every
 * look into the outbox walk over all that was taken since it began; a reader that starts behind the horizon does not.
 */
export class OutboxHorizon {
  #lastId: bigint | undefined;
  #marks: Mark[] = [];
  #through = 0n;

  /** Rows numbered up to here are either visible or will never be. */
  get through(): bigint {
    return this.#through;
  }

  /** To be called now and then. */
  async advance(executor: Executor): Promise<void> {
    const { rows } = await executor.query<{ id: string; oldest: string; first_later: string }>(sql`
      SELECT (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM profile.outbox_id_seq) AS id,
        pg_snapshot_xmin(pg_current_snapshot())::text AS oldest, pg_snapshot_xmax(pg_current_snapshot())::text AS first_later`);
    const row = rows[0];
    if (row === undefined) return;
    const id = BigInt(row.id);
    if (this.#lastId !== undefined && id < this.#lastId) this.#forget();
    // The snapshot is older than the number read beside it; the number of the last time is certainly older than this snapshot.
    if (this.#lastId !== undefined && this.#marks.at(-1)?.id !== this.#lastId) {
      this.#marks.push({ id: this.#lastId, firstLater: BigInt(row.first_later) });
    }
    this.#lastId = id;
    const oldest = BigInt(row.oldest);
    while (this.#marks[0] !== undefined && this.#marks[0].firstLater <= oldest) {
      this.#through = this.#marks.shift()?.id ?? this.#through;
    }
  }

  // The database is another one now: a standby that had not heard of the last numbers.
  #forget(): void {
    this.#lastId = undefined;
    this.#marks = [];
    this.#through = 0n;
  }
}

/** From which number on each lane has to be looked through. */
export class LaneFloors {
  readonly #horizon: { readonly through: bigint };
  readonly #floors = new Map<number, bigint>();

  constructor(horizon: { readonly through: bigint }) {
    this.#horizon = horizon;
  }

  /** For lanes that were held all the time since; others start from the beginning. */
  keep(lanes: readonly number[]): void {
    const held = new Set(lanes);
    for (const lane of this.#floors.keys()) if (!held.has(lane)) this.#floors.delete(lane);
  }

  of(lane: number): bigint {
    const floor = this.#floors.get(lane) ?? 0n;
    return floor <= this.#horizon.through ? floor : 0n;
  }

  /** To be called before a look into the outbox; call the result with the lanes that the look emptied. */
  beforeLook(): (emptied: readonly number[]) => void {
    const { through } = this.#horizon;
    return (emptied) => {
      for (const lane of emptied) this.#floors.set(lane, through);
    };
  }
}
