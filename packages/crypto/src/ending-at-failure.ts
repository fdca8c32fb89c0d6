/**
 * The chunks up to where their source fails, then `throwFailure` throws what it failed with. While OpenPGP.js signs it keeps
 * promises that nobody looks at: an input that fails would reject them, which ends the process. One that ends does not,
 * and what is made of the shortened input is not handed on.
 */
export function endingAtFailure(chunks: AsyncIterable<Buffer>): {
  readonly chunks: AsyncGenerator<Buffer>;
  readonly throwFailure: () => void;
} {
  let failure: Error | undefined;
  async function* quiet(): AsyncGenerator<Buffer> {
    try {
      yield* chunks;
    } catch (error) {
      failure = error instanceof Error ? error : new Error('the source failed', { cause: error });
    }
  }
  const throwFailure = (): void => {
    if (failure !== undefined) throw failure;
  };
  return { chunks: quiet(), throwFailure };
}
