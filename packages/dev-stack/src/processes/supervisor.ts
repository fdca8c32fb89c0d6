import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { StackError } from '../stack-error.js';
import { endProcess, identify } from './process-identity.js';
import { endInOrder, ownIdentity, StateFile, type RecordedProcess } from './stack-state.js';

export interface LaunchOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly cwd?: string | undefined;
  /** Runs under this user and group (root only). */
  readonly runAs?: { readonly uid: number; readonly gid: number } | undefined;
  readonly port?: number | undefined;
  readonly stopSignal?: NodeJS.Signals;
  readonly graceMs?: number;
  /** Neighbours of one group are ended side by side. */
  readonly group?: string;
  /** Resolves once the process can be used; polled until then. */
  readonly isReady: () => Promise<boolean>;
  readonly readyWithinMs?: number;
}

/** A child process of the stack. */
export interface Managed {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  readonly isAlive: () => boolean;
  /** Resolves when the process has ended, however that came about. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
}

/**
 * Starts processes, writes each into the state file, and ends them in reverse order.
 * Children get sessions of their own, so that Ctrl-C reaches the owner alone and the order of stopping stays its choice.
 */
export class Supervisor {
  readonly directory: string;
  readonly ports: Record<string, number>;
  readonly #file: StateFile;
  readonly #deleteWhenStopped: readonly string[];
  readonly #running: { readonly recorded: RecordedProcess; readonly child: ChildProcess }[] = [];
  readonly #launched = new Map<string, LaunchOptions>();
  #watchdog: ChildProcess | undefined;
  #ending = false;

  constructor(
    directory: string,
    options: { readonly ports?: Readonly<Record<string, number>>; readonly deleteWhenStopped?: readonly string[] } = {},
  ) {
    this.directory = directory;
    this.ports = { ...options.ports };
    this.#deleteWhenStopped = options.deleteWhenStopped ?? [];
    this.#file = new StateFile(directory);
    mkdirSync(path.join(directory, 'logs'), { recursive: true });
    this.#save();
    this.#startWatchdog();
  }

  async launch(options: LaunchOptions): Promise<Managed> {
    this.#launched.set(options.name, options);
    const logFile = path.join(this.directory, 'logs', `${options.name}.log`);
    keepShort(logFile);
    const log = openSync(logFile, 'a');
    const child = spawn(options.command, options.args, {
      stdio: ['ignore', log, log],
      detached: true,
      cwd: options.cwd,
      env: options.env ?? process.env,
      ...options.runAs,
    });
    closeSync(log);
    const ended = new Promise<Awaited<Managed['ended']>>((resolve) => {
      child.once('exit', (code, signal) => {
        resolve({ code, signal });
      });
      child.once('error', () => {
        resolve({ code: null, signal: null });
      });
    });
    const identity = child.pid === undefined ? undefined : identify(child.pid);
    if (identity === undefined) {
      throw new StackError(
        `${options.name} did not start (${options.command})${lastLines(logFile)}`,
        `look into ${logFile}`,
      );
    }
    child.unref();
    const recorded: RecordedProcess = {
      ...identity,
      name: options.name,
      port: options.port,
      stopSignal: options.stopSignal ?? 'SIGTERM',
      graceMs: options.graceMs ?? 12_000,
      group: options.group,
    };
    const entry = { recorded, child };
    this.#running.push(entry);
    this.#save();
    const isAlive = (): boolean => child.exitCode === null && child.signalCode === null;
    void ended.then(() => {
      const index = this.#running.indexOf(entry);
      if (index >= 0) this.#running.splice(index, 1);
      this.#save();
    });
    await waitUntilReady(options, isAlive, logFile);
    return { name: options.name, pid: identity.pid, logFile, isAlive, ended };
  }

  /** Sends one signal to a process of this stack and resolves when it has ended. */
  async end(name: string, signal?: NodeJS.Signals): Promise<void> {
    const entry = this.#running.find(({ recorded }) => recorded.name === name);
    if (entry === undefined) return;
    await endProcess(entry.recorded, { signal: signal ?? entry.recorded.stopSignal, graceMs: entry.recorded.graceMs });
  }

  /** Ends a process if it still runs and starts it as it was started before. */
  async restart(name: string, signal?: NodeJS.Signals): Promise<Managed> {
    const options = this.#launched.get(name);
    if (options === undefined) throw new RangeError(`nothing named ${name} was started here`);
    await this.end(name, signal);
    return await this.launch(options);
  }

  /** True from the moment everything is being ended: exits are then no surprise. */
  get isEnding(): boolean {
    return this.#ending;
  }

  /** Ends every process, last started first; safe to call more than once. */
  async endAll(onEnding?: (name: string) => void): Promise<void> {
    this.#ending = true;
    await endInOrder(
      this.#running.map(({ recorded }) => recorded),
      onEnding,
    );
    this.#running.length = 0;
    this.#save();
    this.#watchdog?.stdin?.end();
    for (const folder of this.#deleteWhenStopped) rmSync(folder, { recursive: true, force: true });
  }

  #save(): void {
    try {
      this.#file.write({
        version: 1,
        owner: ownIdentity(),
        processes: this.#running.map(({ recorded }) => recorded),
        ports: this.ports,
        deleteWhenStopped: this.#deleteWhenStopped,
      });
    } catch (error) {
      // A throwaway stack's folder goes away while the last exits are still being noticed.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }

  #startWatchdog(): void {
    const script = fileURLToPath(new URL('watchdog.js', import.meta.url));
    const watchdog = spawn(process.execPath, [script, this.directory, String(process.pid)], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    watchdog.on('error', () => undefined);
    watchdog.stdin.on('error', () => undefined);
    watchdog.unref();
    (watchdog.stdin as unknown as { unref(): void }).unref();
    this.#watchdog = watchdog;
  }
}

async function waitUntilReady(options: LaunchOptions, isAlive: () => boolean, logFile: string): Promise<void> {
  const deadline = Date.now() + (options.readyWithinMs ?? 30_000);
  while (!(await options.isReady())) {
    if (!isAlive())
      throw new StackError(
        `${options.name} stopped while starting${lastLines(logFile)}`,
        `the whole log is in ${logFile}`,
      );
    if (Date.now() > deadline) {
      throw new StackError(
        `${options.name} is not ready after ${(options.readyWithinMs ?? 30_000) / 1000} s${lastLines(logFile)}`,
        `the whole log is in ${logFile}`,
      );
    }
    await delay(30);
  }
}

const maxLogBytes = 20 * 1024 * 1024;

function keepShort(logFile: string): void {
  if (existsSync(logFile) && statSync(logFile).size > maxLogBytes) renameSync(logFile, `${logFile}.1`);
}

function lastLines(logFile: string): string {
  try {
    const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-5);
    return lines.join('') === '' ? '' : `; it said last:\n  ${lines.join('\n  ')}`;
  } catch {
    return '';
  }
}
