import path from 'node:path';
import { parseArgs } from 'node:util';
import { generatedScenario } from '../demo/generated-scenario.js';
import { northwindScenario } from '../demo/northwind-scenario.js';
import { runExchange, type ExchangeResult } from '../demo/run-exchange.js';
import { demoSizes, generateSampleData } from '../sample-data/generate.js';
import { StackError } from '../stack-error.js';
import { wipeStack } from '../stack.js';
import { Steps } from './console.js';
import { launch } from './launch.js';
import { Shutdown } from './shutdown.js';

/** `npm run demo`: the exchange once on an empty store of its own; the last line of output is the result as JSON. */
export async function demo(directory: string, args: readonly string[]): Promise<number> {
  const { northwind } = readArguments(args);
  // Tell of a wrong folder before anything starts.
  const given =
    northwind === undefined ? undefined : northwindScenario(path.resolve(process.env['INIT_CWD'] ?? '', northwind));
  const shutdown = new Shutdown();
  const steps = new Steps();
  const own = path.join(directory, 'demo');
  let result: ExchangeResult;
  try {
    await wipeStack(own);
    const { around } = await launch(own, steps, shutdown, (services, service, how) => {
      steps.note(`${service} ended unexpectedly (${how}); its log: ${services.logFile(service)}`);
    });
    const sample = path.join(own, 'sample-data');
    if (given === undefined) {
      steps.next('generating sample data');
      await generateSampleData(sample, demoSizes);
    }
    ({ result } = await runExchange(given ?? generatedScenario(sample), around, steps, shutdown.signal));
  } catch (error) {
    steps.failed();
    if (shutdown.asked) return await new Promise<never>(() => undefined);
    await shutdown.run();
    throw error;
  }
  await shutdown.run();
  console.log(JSON.stringify(result));
  return 0;
}

function readArguments(args: readonly string[]): { northwind?: string | undefined } {
  try {
    return parseArgs({ args: [...args], options: { northwind: { type: 'string' } } }).values;
  } catch (error) {
    throw new StackError(
      error instanceof Error ? error.message : String(error),
      'use: npm run demo, or npm run demo -- --northwind DIR',
      { cause: error },
    );
  }
}
