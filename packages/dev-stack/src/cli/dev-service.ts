// The `dev` task of an app: dev-service.js <service>. Waits for the stand-ins, applies the migrations, then compiles and
// runs the service again with every change of its own or of a package it uses.
import { spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { loadKeys } from '../keys.js';
import { migrateServices, repositoryRoot, serviceEnvironment, serviceNames, type ServiceName } from '../services.js';
import { tell } from './console.js';
import { devDirectory, findPlace } from './dev-place.js';
import { preferredPorts } from './preferred-ports.js';

const service = process.argv[2] as ServiceName;
if (!serviceNames.includes(service)) throw new Error(`usage: dev-service.js ${serviceNames.join('|')}`);

const folder = path.join(repositoryRoot, 'apps', service);
const children: ChildProcess[] = [];
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    for (const child of children) child.kill('SIGTERM');
    setTimeout(() => process.exit(0), 11_000).unref();
    void Promise.all(children.map(async (child) => await ended(child))).then(() => process.exit(0));
  });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await new Promise((resolve) => child.once('exit', resolve));
}

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): void {
  children.push(spawn(command, args, { cwd: folder, env, stdio: ['ignore', 'inherit', 'inherit'] }));
}

async function main(): Promise<void> {
  let place = findPlace();
  for (let waitedMs = 0; place === undefined; waitedMs += 200) {
    if (waitedMs % 10_000 === 0) console.log('waiting for the stand-ins (the dev task of @millrace/dev-stack)');
    await delay(200);
    place = findPlace();
  }
  const compiler = path.join(folder, 'node_modules/.bin/tsc');
  await migrateServices(place, [service]);
  run(compiler, ['-p', 'tsconfig.build.json', '--watch', '--preserveWatchOutput']);
  const env = serviceEnvironment(place, service, preferredPorts[service]);
  run(process.execPath, ['--enable-source-maps', '--watch', '--watch-preserve-output', 'dist/main.js'], env);
  console.log(`${service} listens on http://127.0.0.1:${preferredPorts[service]}`);
  if (service === 'config-api') console.log(`API key: ${loadKeys(place.directory, serviceNames).apiKey}`);
}

main().catch((error: unknown) => {
  tell(error, devDirectory);
  process.exit(1);
});
