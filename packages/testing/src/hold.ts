/** A promise that waits for `open`. */
export interface Gate {
  readonly opened: Promise<void>;
  readonly open: () => void;
}

export function gate(): Gate {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

/** Something a test holds fast, so that whoever needs it waits. */
export interface Hold {
  letGo(): Promise<void>;
}

/** Structurally `Database` of @millrace/database, which is itself tested with this package and so cannot be imported. */
interface Transactions<Statement> {
  transaction(
    work: (tx: { query(statement: Statement): Promise<{ readonly rowCount: number }> }) => Promise<void>,
  ): Promise<void>;
}

const holds = new Set<Hold>();

/** Runs a statement that locks, and keeps its transaction open. Resolves when the lock is granted. */
export async function hold<Statement>(database: Transactions<Statement>, lock: Statement): Promise<Hold> {
  const granted = gate();
  const release = gate();
  const held = database.transaction(async (tx) => {
    await tx.query(lock);
    granted.open();
    await release.opened;
  });
  // Also once the server is gone, and nobody waits any more.
  held.catch(() => undefined);
  const made: Hold = {
    letGo: async () => {
      holds.delete(made);
      release.open();
      await held;
    },
  };
  holds.add(made);
  await Promise.race([granted.opened, held]);
  return made;
}

/** What a failed test still holds, so that its database can be closed. */
export async function letAllGo(): Promise<void> {
  await Promise.allSettled([...holds].map((each) => each.letGo()));
}
