import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { isRunning, type ProcessIdentity } from '../processes/process-identity.js';
import { ownIdentity } from '../processes/stack-state.js';
import { repositoryRoot, type StackPlace } from '../services.js';

export const devDirectory = path.join(repositoryRoot, '.dev');
const file = path.join(devDirectory, 'dev.json');

interface DevPlace extends StackPlace {
  readonly owner: ProcessIdentity;
}

/** Tells the services' watchers, which are other processes, that the stand-ins are up and where. */
export function announce({ directory, urls, ports }: StackPlace): void {
  const place: DevPlace = { owner: ownIdentity(), directory, urls, ports };
  writeFileSync(`${file}.new`, JSON.stringify(place), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

export function withdraw(): void {
  rmSync(file, { force: true });
}

/** The stand-ins that are up, or undefined while there are none. */
export function findPlace(): StackPlace | undefined {
  if (!existsSync(file)) return undefined;
  const place = JSON.parse(readFileSync(file, 'utf8')) as DevPlace;
  return isRunning(place.owner) ? place : undefined;
}
