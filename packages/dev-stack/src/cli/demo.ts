import path from 'node:path';
import { parseArgs } from 'node:util';
import { generatedScenario } from '../demo/generated-scenario.js';
import { northwindScenario } from '../demo/northwind-scenario.js';
import { runExchange, type ExchangeResult } from '../demo/run-exchange.js';
import type { Scenario } from '../demo/scenario.js';
import { demoSizes, generateSampleData } from '../sample-data/generate.js';
import { StackError } from '../stack-error.js';
import { wipeStack } from '../stack.js';
import { Steps } from './console.js';
import { launch } from './launch.js';
import { Shutdown, stayUp } from './shutdown.js';

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
    const scenario = given ?? (await generate(path.join(own, 'sample-data'), steps));
    ({ result } = await runExchange(scenario, around, steps, shutdown.signal));
    checkFigures(scenario, result);
  } catch (error) {
    steps.failed();
    if (shutdown.asked) return await stayUp();
    await shutdown.run();
    throw error;
  }
  await shutdown.run();
  console.log(JSON.stringify(result));
  return 0;
}

async function generate(directory: string, steps: Steps): Promise<Scenario> {
  steps.next('generating sample data');
  return generatedScenario(directory, await generateSampleData(directory, demoSizes));
}

function checkFigures({ expected }: Scenario, result: ExchangeResult): void {
  if (expected === undefined) return;
  for (const name of ['profiles', 'events', 'eventLines'] as const) {
    if (result[name] !== expected[name]) {
      throw new Error(`the store holds ${result[name]} ${name}, but the files hold ${expected[name]}`);
    }
  }
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
