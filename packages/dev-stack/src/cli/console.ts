import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { StackError } from '../stack-error.js';

/** Progress for people: a line per step, and while one lasts, a sign of life. */
export class Steps {
  #timer: NodeJS.Timeout | undefined;
  #title = '';
  #begun = 0;
  detail = '';

  /** Ends the step under way with a tick and begins the next. */
  next(title: string): void {
    this.done();
    this.#title = title;
    this.#begun = Date.now();
    this.detail = '';
    const terminal = process.stdout.isTTY;
    if (!terminal) console.log(`  ${title} …`);
    this.#timer = setInterval(
      () => {
        const line = `  ${title} … ${this.#seconds(0)} s${this.detail === '' ? '' : ` · ${this.detail}`}`;
        if (terminal) process.stdout.write(`\r\u001B[2K${line.slice(0, process.stdout.columns - 1)}`);
        else console.log(line);
      },
      terminal ? 250 : 2000,
    );
  }

  done(): void {
    this.#end('✓');
  }

  failed(): void {
    this.#end('✗');
  }

  /** A line in between, without ending the step under way. */
  note(line: string): void {
    if (process.stdout.isTTY) process.stdout.write('\r\u001B[2K');
    console.log(line);
  }

  #end(mark: string): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (process.stdout.isTTY) process.stdout.write('\r\u001B[2K');
    console.log(`${mark} ${this.#title} (${this.#seconds(1)} s)`);
  }

  #seconds(digits: number): string {
    return ((Date.now() - this.#begun) / 1000).toFixed(digits);
  }
}

/** What went wrong and what to do, without a stack trace; the trace of a bug goes to a file that the message names. */
export function tell(error: unknown, directory: string): void {
  if (error instanceof StackError) {
    console.error(`\nMillrace: ${error.message}\nNext step: ${error.nextStep}`);
    return;
  }
  const file = path.join(directory, 'logs', 'error.log');
  const [message, trace] = error instanceof Error ? [error.message, error.stack ?? ''] : [String(error), ''];
  let where = '';
  try {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(
      file,
      `${new Date().toISOString()}\n${trace}\n${error instanceof Error && error.cause instanceof Error ? (error.cause.stack ?? '') : ''}\n`,
    );
    where = `the details are in ${file}, the services' logs beside it`;
  } catch {
    where = 'the details could not be written to disk: is it full?';
  }
  console.error(`\nMillrace: ${message}\nNext step: ${where}`);
}
