import { InputError } from '@millrace/domain';

const endLine = '-----END PGP MESSAGE-----';

/**
 * The text of an armored message, and what follows it. OpenPGP.js takes whatever stands behind the end into memory and
 * drops it: were it another message, as where files were put behind one another, its rows would be lost without a word.
 */
export class ArmoredMessage {
  readonly #chunks: AsyncIterator<Buffer>;
  /** What was read and not handed on: it may hold the first half of the end line, or stands behind it. */
  #held = '';

  constructor(chunks: AsyncIterator<Buffer>) {
    this.#chunks = chunks;
  }

  /** Up to the end line, or to the end of a message that was cut off. */
  async *text(): AsyncGenerator<string> {
    for (let next = await this.#chunks.next(); next.done !== true; next = await this.#chunks.next()) {
      const text = this.#held + next.value.toString('latin1');
      const end = text.indexOf(endLine);
      const until = end === -1 ? Math.max(0, text.length - endLine.length) : end + endLine.length;
      this.#held = text.slice(until);
      if (until > 0) yield text.slice(0, until);
      if (end !== -1) {
        yield '\n';
        return;
      }
    }
    yield this.#held;
    this.#held = '';
  }

  /** Reads to the end of the source. @throws InputError `pgp-several-messages` unless nothing but white space follows */
  async checkRest(): Promise<void> {
    for (;;) {
      if (/[^\s\0]/.test(this.#held)) {
        const text = 'something stands behind the OpenPGP message: put each message into a file of its own';
        throw new InputError('pgp-several-messages', text);
      }
      const next = await this.#chunks.next();
      if (next.done === true) return;
      this.#held = next.value.toString('latin1');
    }
  }
}
