import { Readable } from 'node:stream';
import type { Database } from '@millrace/database';
import { formatHeader, readTable, rowFormatter } from '@millrace/delimited';
import { csvDialect, type CsvDialect } from '@millrace/domain';
import { loadGoalSnapshot } from '@millrace/job-queue';
import { fieldReader } from '@millrace/mapping';
import { isImportSnapshot } from '../run-import/import-job.js';
import { rawLimit } from '../stage-file/raw-row.js';
import { columnKeys } from './column-keys.js';
import { redact } from './redact.js';
import { filesOfRun, rejectedRows, type RejectedRow } from './rejected-rows.js';

/** Stand before the row's own columns, by position. */
export const reasonColumns = ['#file', '#line', '#column', '#code', '#reason'] as const;
/** Last: the row as it stood in the file, where it cannot be shown by column. */
export const rawColumn = '#raw';

const written = csvDialect.parse({});

/**
 * The rejected rows of a run as CSV: where and why, then the row by its own columns, ready to be corrected and sent back.
 * Rows of several files share the columns of the same name. Rows already corrected are left out. Secrets are redacted.
 */
export async function* rejectFile(database: Database, runId: string): AsyncGenerator<string> {
  const files = new Map((await filesOfRun(database, runId)).map((file) => [file.id, file]));
  const dialects = new Dialects(database);
  const keys = [...new Set([...files.values()].flatMap(({ headers }) => Object.values(headers).flatMap(columnKeys)))];
  const places = new Map(keys.map((key, index) => [key, index]));
  const names = keys.map((key) => key.slice(0, key.lastIndexOf('\0')));
  yield formatHeader([...reasonColumns, ...names, rawColumn], written);
  let after = '0';
  for (;;) {
    const rows = await rejectedRows(database, runId, after);
    for (const row of rows) {
      const file = files.get(row.fileId);
      const header = file?.headers[row.alias] ?? [];
      const dialect = file === undefined ? written : await dialects.of(file.snapshotId, row.alias);
      const fields = row.raw === null ? undefined : await split(row.raw, dialect, header.length);
      const own: (string | null)[] = Array.from({ length: keys.length }, () => null);
      if (fields !== undefined) {
        columnKeys(header).forEach((key, index) => {
          own[places.get(key) ?? 0] = redact(header[index] ?? '', fields[index] ?? null);
        });
      }
      yield line(row, own, fields === undefined ? row.raw : null, dialect.nullWords);
    }
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last.id;
  }
}

function line(
  row: RejectedRow,
  own: readonly (string | null)[],
  raw: string | null,
  nullWords: readonly string[],
): string {
  const format = rowFormatter({ ...written, nullWords: [...nullWords] });
  return format([row.name, String(row.line), row.column, row.code, row.message, ...own, redact('', raw)]);
}

/** The fields of a rejected row, null for no value; undefined where it cannot be told which is which. */
async function split(raw: string, dialect: CsvDialect, width: number): Promise<readonly (string | null)[] | undefined> {
  // What was cut is not what stood in the file, and must not be sent back for it.
  if (raw.length >= rawLimit) return undefined;
  const whole = { ...dialect, header: false, skipLines: 0, charset: 'utf-8' as const };
  const table = await readTable(Readable.from([Buffer.from(raw)], { objectMode: false }), whole).catch(() => undefined);
  if (table === undefined) return undefined;
  const read = fieldReader(dialect);
  let found: readonly (string | null)[] | undefined;
  let rows = 0;
  for await (const batch of table.batches) {
    for (const row of batch.rows) {
      rows += 1;
      if (row.kind === 'row') found = row.fields.map((_, position) => read(row.fields, position, row.quoted) ?? null);
    }
  }
  return rows === 1 && found !== undefined && found.length <= width ? found : undefined;
}

/** CSV options of the goals as they were when the run began. */
class Dialects {
  readonly #database: Database;
  readonly #known = new Map<string, CsvDialect>();

  constructor(database: Database) {
    this.#database = database;
  }

  async of(snapshotId: string, alias: string): Promise<CsvDialect> {
    const name = `${snapshotId} ${alias}`;
    let dialect = this.#known.get(name);
    if (dialect === undefined) {
      const snapshot = await loadGoalSnapshot(this.#database, snapshotId);
      if (!isImportSnapshot(snapshot)) throw new Error('rejects of a goal that is no import');
      const { goal } = snapshot;
      const linked = goal.kind === 'import-profiles' ? goal.linked : [];
      dialect = linked.find((link) => link.alias === alias)?.csv ?? goal.csv;
      this.#known.set(name, dialect);
    }
    return dialect;
  }
}
