import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface SinkReport {
  readonly records: number;
  readonly bytes: number;
  /** [change, epoch milliseconds] */
  readonly arrivals: readonly (readonly [number, number])[];
}

export interface Sink {
  readonly url: string;
  report(details: boolean): Promise<SinkReport>;
  forget(): Promise<void>;
  /** Resolves when at least so many records have arrived. */
  until(records: number): Promise<void>;
  stop(): void;
}

/** Starts the acknowledging sink as a process of its own. */
export async function startSink(): Promise<Sink> {
  const child = fork(fileURLToPath(new URL('./stream-sink.js', import.meta.url)), { stdio: 'inherit' });
  const [message] = (await once(child, 'message')) as [{ port: number }];
  const url = `http://127.0.0.1:${message.port}`;
  const report = async (details: boolean): Promise<SinkReport> =>
    (await (await fetch(`${url}/arrivals`, { headers: { 'x-details': details ? 'yes' : 'no' } })).json()) as SinkReport;
  return {
    url,
    report,
    forget: async () => {
      await (await fetch(`${url}/arrivals`, { method: 'DELETE' })).text();
    },
    until: async (records) => {
      while ((await report(false)).records < records) await new Promise((resolve) => setTimeout(resolve, 20));
    },
    stop: () => child.kill(),
  };
}
