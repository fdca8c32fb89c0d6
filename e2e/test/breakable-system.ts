import { FaultProxy } from '@millrace/testing';
import { Exchange } from './exchange.js';
import { Millrace } from './millrace.js';
import { ingestBefore, outcomeOf, type Outcome } from './outcome.js';
import { makeSample, type Sample } from './sample.js';

/** The whole system with a proxy for faults before S3 and before Kinesis, and an undisturbed exchange to compare with. */
export class BreakableSystem {
  #undisturbed: Outcome | undefined;

  private constructor(
    readonly millrace: Millrace,
    readonly sample: Sample,
    readonly s3: FaultProxy,
    readonly kinesis: FaultProxy,
  ) {}

  /** `env` is added to that of every service. Small chunks, so that there is a middle to be disturbed in. */
  static async start(name: string, seed: number, env: Readonly<Record<string, string>> = {}): Promise<BreakableSystem> {
    const [millrace, sample] = await Promise.all([
      Millrace.start(name, { MILLRACE_IMPORT_CHUNK_LINES: '200', ...env }),
      makeSample({ customers: 1500, orders: 2500, linesPerOrder: 2, seed }),
    ]);
    const s3 = await FaultProxy.start(millrace.stack.urls.s3);
    const kinesis = await FaultProxy.start(millrace.stack.urls.kinesis);
    const system = new BreakableSystem(millrace, sample, s3, kinesis);
    try {
      const exchange = await system.prepare('undisturbed');
      system.#undisturbed = await outcomeOf(exchange, await exchange.run());
      return system;
    } catch (error) {
      await system.stop();
      throw error;
    }
  }

  get undisturbed(): Outcome {
    if (this.#undisturbed === undefined) throw new Error('the undisturbed exchange has not run yet');
    return this.#undisturbed;
  }

  /** An exchange in a workspace of its own, some of whose customers are there before. */
  async prepare(workspace: string): Promise<Exchange> {
    const { millrace, sample, s3, kinesis } = this;
    const exchange = await Exchange.prepare(millrace, workspace, sample, { s3: s3.url, kinesis: kinesis.url });
    await ingestBefore(exchange, sample);
    return exchange;
  }

  clearFaults(): void {
    this.s3.clear();
    this.kinesis.clear();
  }

  async stop(): Promise<void> {
    await this.millrace.stop();
    await Promise.all([this.s3.stop(), this.kinesis.stop()]);
  }
}
