import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { generatedScenario } from '../demo/generated-scenario.js';
import { runExchange, type Exchange } from '../demo/run-exchange.js';
import type { Scenario } from '../demo/scenario.js';
import type { RunView } from '../demo/wire.js';
import { demoSizes, generateSampleData } from '../sample-data/generate.js';
import type { ServiceName, Services } from '../services.js';
import { Steps } from './console.js';
import { launch, type Launched } from './launch.js';
import { Shutdown, stayUp } from './shutdown.js';

/** `npm start`: everything up, the demo exchange once, then stays until a signal comes. */
export async function start(directory: string): Promise<number> {
  const shutdown = new Shutdown();
  const steps = new Steps();
  try {
    const launched = await launch(directory, steps, shutdown, (services, service, how) => {
      void revive(services, service, how, shutdown, steps);
    });
    steps.next('generating sample data');
    const sample = path.join(directory, 'sample-data');
    const scenario = generatedScenario(sample, await generateSampleData(sample, demoSizes));
    const exchange = await runExchange(scenario, launched.around, steps, shutdown.signal);
    console.log(report(launched, scenario, exchange, directory));
  } catch (error) {
    steps.failed();
    // The signal handler is already stopping everything and ends the process.
    if (shutdown.asked) return await stayUp();
    await shutdown.run();
    throw error;
  }
  return await stayUp();
}

// A service that falls over is started again, less and less eagerly: its work is in PostgreSQL and goes on.
const restarts = new Map<ServiceName, number>();

async function revive(
  services: Services,
  service: ServiceName,
  how: string,
  shutdown: Shutdown,
  steps: Steps,
): Promise<void> {
  const count = (restarts.get(service) ?? 0) + 1;
  restarts.set(service, count);
  if (count > 5) {
    steps.note(`${service} ended again (${how}) and is left stopped; its log: ${services.logFile(service)}`);
    return;
  }
  steps.note(`${service} ended unexpectedly (${how}); starting it again; its log: ${services.logFile(service)}`);
  try {
    await delay(500 * count, undefined, { signal: shutdown.signal });
    await services.restart(service);
    steps.note(`${service} is back`);
  } catch (error) {
    if (!shutdown.asked)
      steps.note(`${service} did not come back: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function report(
  { services, stack }: Launched,
  scenario: Scenario,
  { result, run }: Exchange,
  directory: string,
): string {
  const near = (file: string): string => path.relative(process.cwd(), file) || file;
  const curl = `curl -H "authorization: Bearer ${services.apiKey}" "${services.apiUrl}/api/v1/workspaces/${scenario.workspace}`;
  return `
What happened, in ${result.seconds} s
  in       ${scenario.files.map(({ name }) => name).join(', ')} from s3://${scenario.bucket}/incoming
           became ${count(result.profiles)} profiles with ${count(result.events)} orders of ${count(result.eventLines)} lines
           ${importLine(run)}
  out      ${count(result.exportedRows)} rows of segment "${scenario.exportSegment}" in
${result.exportedFiles.map((file) => `           ${file}`).join('\n')}
  onwards  ${count(result.streamedRecords)} records on the Kinesis stream ${scenario.stream}

Where to look
  API      ${services.apiUrl}/api/v1        documentation: ${services.apiUrl}/api/docs
  API key  ${services.apiKey}
  try      ${curl}/profiles?namespace=customerId&value=0000001"
  files    sample data in ${near(path.join(directory, 'sample-data'))}, buckets in ${near(path.join(directory, 's3'))}, logs in ${near(path.join(directory, 'logs'))}
  SQL      ${stack.urls.database}
  S3       ${stack.urls.s3}        access key ${stack.credentials.accessKeyId}, secret ${stack.credentials.secretAccessKey}
  by hand  docs/guides/first-exchange.md

Running. Ctrl-C stops everything; \`npm start\` goes on with the same data; \`rm -rf ${near(directory)}\` forgets it.`;
}

function importLine(run: RunView): string {
  const counts = run.goals?.find(({ kind }) => kind === 'import-profiles')?.counts ?? {};
  const of = (name: string): string => count(Number(counts[name] ?? 0));
  const skipped = Number(counts['filesSkipped'] ?? 0) > 0 && Number(counts['rowsRead'] ?? 0) === 0;
  if (skipped) return '(nothing new this time: these files were imported before)';
  return `(${of('rowsRead')} rows: ${of('created')} created, ${of('updated')} updated, ${of('unchanged')} unchanged, ${of('rejected')} rejected)`;
}

function count(number: number): string {
  return number.toLocaleString('en-US');
}
