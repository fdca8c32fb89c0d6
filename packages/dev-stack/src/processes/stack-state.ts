import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { endProcess, identify, isRunning, type ProcessIdentity } from './process-identity.js';

/** One process of the stack, with all that a later run needs to recognise and end it. */
export interface RecordedProcess extends ProcessIdentity {
  readonly name: string;
  readonly port?: number | undefined;
  readonly stopSignal: NodeJS.Signals;
  readonly graceMs: number;
  /** Neighbours of one group are ended side by side. */
  readonly group?: string | undefined;
}

export interface StackState {
  readonly version: 1;
  /** The process that started the stack and stops it. */
  readonly owner: ProcessIdentity;
  /** In starting order. */
  readonly processes: readonly RecordedProcess[];
  /** Ports by name, kept when the stack has stopped: the next start prefers them. */
  readonly ports: Readonly<Record<string, number>>;
  /** Folders to delete once everything has ended (throwaway stacks). */
  readonly deleteWhenStopped: readonly string[];
}

/** What `.dev/stack.json` remembers between runs, written in one step so that it is never half there. */
export class StateFile {
  readonly path: string;

  constructor(directory: string) {
    this.path = path.join(directory, 'stack.json');
  }

  read(): StackState | undefined {
    if (!existsSync(this.path)) return undefined;
    try {
      const state = JSON.parse(readFileSync(this.path, 'utf8')) as StackState;
      return state.version === 1 ? state : undefined;
    } catch {
      return undefined;
    }
  }

  write(state: StackState): void {
    const draft = `${this.path}.${process.pid}`;
    writeFileSync(draft, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
    renameSync(draft, this.path);
  }
}

/** Ends what an ownerless state names, last started first. Only processes whose start time matches are touched. Returns their names. */
export async function endLeftovers(file: StateFile, state: StackState): Promise<readonly string[]> {
  const running = state.processes.filter((recorded) => isRunning(recorded));
  await endInOrder(running);
  // A successor may have taken the directory over meanwhile: what it wrote stays.
  if (file.read()?.owner.startedAt === state.owner.startedAt) {
    if (state.deleteWhenStopped.length === 0) file.write({ ...state, processes: [] });
    for (const folder of state.deleteWhenStopped) rmSync(folder, { recursive: true, force: true });
  }
  return running.map((recorded) => recorded.name);
}

/** Ends processes, last started first, whole groups at a time. */
export async function endInOrder(
  processes: readonly RecordedProcess[],
  onEnding?: (name: string) => void,
): Promise<void> {
  const batches: RecordedProcess[][] = [];
  for (const recorded of processes.toReversed()) {
    const last = batches.at(-1);
    if (recorded.group !== undefined && last?.[0]?.group === recorded.group) last.push(recorded);
    else batches.push([recorded]);
  }
  for (const batch of batches) {
    await Promise.all(
      batch.map(async (recorded) => {
        onEnding?.(recorded.name);
        await endProcess(recorded, { signal: recorded.stopSignal, graceMs: recorded.graceMs });
      }),
    );
  }
}

/** This process, as owner of a stack. */
export function ownIdentity(): ProcessIdentity {
  return identify(process.pid) ?? { pid: process.pid, startedAt: 'unknown' };
}
