import { createHash, type Hash } from 'node:crypto';
import { InputError } from '@millrace/domain';
import type { ListedObject } from '../storage/files.js';

/** Holds an object against its manifest while it is read. Costs nothing where there is none. */
export class ExpectedContent {
  readonly #object: ListedObject;
  readonly #hash: Hash | undefined;

  /** @throws InputError `manifest-mismatch` where the size alone tells */
  constructor(object: ListedObject) {
    this.#object = object;
    this.#hash = object.expected?.sha256 === undefined ? undefined : createHash('sha256');
    this.#compare('bytes', object.expected?.bytes, object.size);
  }

  /** Bytes as stored, in their order. */
  add(bytes: Uint8Array): void {
    this.#hash?.update(bytes);
  }

  /** After the last byte. @throws InputError `manifest-mismatch` */
  checkSum(): void {
    if (this.#hash !== undefined)
      this.#compare('SHA-256', this.#object.expected?.sha256?.toLowerCase(), this.#hash.digest('hex'));
  }

  /** @throws InputError `manifest-mismatch` */
  checkRows(rows: number): void {
    this.#compare('rows', this.#object.expected?.rows, rows);
  }

  #compare<T extends string | number>(what: string, wanted: T | undefined, found: T): void {
    const { key, expected } = this.#object;
    if (expected === undefined || wanted === undefined || wanted === found) return;
    throw new InputError(
      'manifest-mismatch',
      `${key} has ${what} ${found}, and "${expected.manifest}" says ${wanted}: nothing of the file was applied; deliver it again`,
      { at: key },
    );
  }
}
