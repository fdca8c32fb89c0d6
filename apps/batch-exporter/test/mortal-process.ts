import type { Database, Transaction } from '@millrace/database';
import type { ObjectStore, Upload } from '@millrace/object-store';
import type { Exporter } from '../src/run-export/exporter.js';

export class Killed extends Error {
  constructor() {
    super('the process was killed');
  }
}

/**
 * An exporter that dies at its n-th effect on the outside world (a commit, a request that changes the bucket), either just
 * before or just after it took place. From then on nothing it tries has any effect, as it is with a killed process.
 */
export class MortalProcess {
  readonly exporter: Exporter;
  readonly #killAt: number;
  readonly #when: 'before' | 'after';
  #effects = 0;
  #dead = false;

  constructor(exporter: Exporter, killAt: number, when: 'before' | 'after') {
    this.#killAt = killAt;
    this.#when = when;
    this.exporter = {
      ...exporter,
      database: this.#mortalDatabase(exporter.database),
      openTarget: (snapshot) => {
        const target = exporter.openTarget(snapshot);
        return { ...target, store: this.#mortalStore(target.store) };
      },
    };
  }

  get isDead(): boolean {
    return this.#dead;
  }

  #breathe(): void {
    if (this.#dead) throw new Killed();
  }

  async #effect<T>(act: () => Promise<T>): Promise<T> {
    this.#breathe();
    this.#effects += 1;
    const last = this.#effects === this.#killAt;
    if (last && this.#when === 'before') this.#die();
    const result = await act();
    if (last) this.#die();
    this.#breathe();
    return result;
  }

  #die(): never {
    this.#dead = true;
    throw new Killed();
  }

  #mortalDatabase(database: Database): Database {
    const mortal = {
      query: async (statement: Parameters<Database['query']>[0]) => {
        this.#breathe();
        return await database.query(statement);
      },
      transaction: async <T>(work: (tx: Transaction) => Promise<T>) =>
        await this.#effect(async () =>
          database.transaction(async (tx) => {
            const result = await work(tx);
            this.#breathe();
            return result;
          }),
        ),
      end: async () => undefined,
    };
    return mortal as unknown as Database;
  }

  #mortalStore(store: ObjectStore): ObjectStore {
    return {
      ...store,
      startUpload: async (...parameters) =>
        this.#mortalUpload(await this.#effect(async () => store.startUpload(...parameters))),
      completeUpload: async (...parameters) => this.#effect(async () => store.completeUpload(...parameters)),
      abortUpload: async (...parameters) => this.#effect(async () => store.abortUpload(...parameters)),
      delete: async (...parameters) => this.#effect(async () => store.delete(...parameters)),
    };
  }

  #mortalUpload(upload: Upload): Upload {
    return {
      uploadId: upload.uploadId,
      write: async (source) => this.#effect(async () => upload.write(source)),
      complete: async () => this.#effect(async () => upload.complete()),
      abort: async () => this.#effect(async () => upload.abort()),
    };
  }
}
