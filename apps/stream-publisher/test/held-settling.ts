import { sql, type Database } from '@millrace/database';

const waits = sql`datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'advisory'`;

/** Outbox rows may be read, but whoever would remove them waits: what was sent of them cannot be written down. */
export class HeldSettling {
  readonly #database: Database;
  readonly #release: () => void;
  readonly #holding: Promise<void>;

  private constructor(database: Database, release: () => void, holding: Promise<void>) {
    this.#database = database;
    this.#release = release;
    this.#holding = holding;
  }

  static async begin(database: Database): Promise<HeldSettling> {
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    let hold: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (hold = resolve));
    await database.query(sql`
      CREATE OR REPLACE FUNCTION hold_settling() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN PERFORM pg_advisory_xact_lock(77); RETURN NULL; END $$`);
    await database.query(sql`
      CREATE OR REPLACE TRIGGER hold_settling BEFORE DELETE ON profile.outbox FOR EACH STATEMENT EXECUTE FUNCTION hold_settling()`);
    const holding = database.transaction(async (tx) => {
      await tx.query(sql`SELECT pg_advisory_xact_lock(77)`);
      hold();
      await released;
    });
    await Promise.race([held, holding]);
    return new HeldSettling(database, release, holding);
  }

  /** Whether somebody wants to remove rows. */
  async waiting(): Promise<boolean> {
    const { rowCount } = await this.#database.query(sql`SELECT FROM pg_stat_activity WHERE ${waits}`);
    return rowCount > 0;
  }

  /** Ends the sessions that want to. */
  async breakOff(): Promise<void> {
    await this.#database.query(sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${waits}`);
  }

  async end(): Promise<void> {
    this.#release();
    await this.#holding;
    await this.#database.query(sql`DROP TRIGGER hold_settling ON profile.outbox`);
  }
}
