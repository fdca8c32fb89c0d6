import type { Database } from '@millrace/database';
import type { ObjectStore } from '@millrace/object-store';
import type { ImportServices } from '../src/run-import/import-run.js';

export class Killed extends Error {
  constructor() {
    super('the process was killed');
  }
}

export interface MortalServices {
  readonly services: ImportServices;
  /** Whether it came to the effect at which it was to die. */
  isDead(): boolean;
}

/**
 * The services of a process that dies at its n-th effect on the world (a commit, a change in the bucket), just before
 * or just after it took place. From then on nothing it tries has any effect, as it is with a killed process.
 */
export function mortalServices(alive: ImportServices, killAt: number, when: 'before' | 'after'): MortalServices {
  let effects = 0;
  let dead = false;
  const breathe = (): void => {
    if (dead) throw new Killed();
  };
  const effect = async <T>(act: () => Promise<T>): Promise<T> => {
    breathe();
    effects += 1;
    const last = effects === killAt;
    if (last && when === 'before') dead = true;
    breathe();
    const result = await act();
    if (last) dead = true;
    breathe();
    return result;
  };
  const database = {
    query: (query: Parameters<Database['query']>[0]) => effect(() => alive.database.query(query)),
    transaction: <T>(work: Parameters<Database['transaction']>[0]) =>
      effect(() =>
        alive.database.transaction(async (tx) => {
          const result = await work(tx);
          breathe();
          return result;
        }),
      ) as Promise<T>,
  } as unknown as Database;
  const openStore = (endpoint: Parameters<ImportServices['openStore']>[0]): ObjectStore => {
    const store = alive.openStore(endpoint);
    return {
      ...store,
      copyDone: (...place) => effect(() => store.copyDone(...place)),
      delete: (...place) => effect(() => store.delete(...place)),
    };
  };
  return { services: { ...alive, database, openStore }, isDead: () => dead };
}
