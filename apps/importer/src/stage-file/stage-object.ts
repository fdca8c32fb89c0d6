import { sql, type Database, type Transaction } from '@millrace/database';

import { InputError, type ImportGuardrails, type ImportProfilesGoal } from '@millrace/domain';
import { ColumnIndex, type Catalogue, type FieldRejection } from '@millrace/mapping';
import type { PlannedFile } from '../link-files/plan-links.js';
import { namesOf, saveHeader } from '../storage/headers.js';
import { insertRejects } from '../storage/rejects.js';
import { fileTable } from '../storage/staging-tables.js';
import { aboutFile } from './about-file.js';
import { ExpectedContent } from './check-expected.js';
import { columnDrift, columnsRead, judgeDrift, toleranceOf, type SeenColumns } from './column-drift.js';
import { CopyWriter } from './copy-writer.js';
import { openTable, type OpenedTable, type OpenOptions } from './open-table.js';
import { rawRow } from './raw-row.js';
import { RejectList } from './reject-list.js';
import { compileRowEncoder, filtered, type FieldTally, type ReadRow, type RowEncoder } from './row-encoders.js';

export interface StageObject extends Omit<OpenOptions, 'dialect'> {
  readonly database: Database;
  readonly fileId: string;
  readonly stage: string;
  readonly goal: ImportProfilesGoal;
  /** Of the connection. */
  readonly organizationalUnit: ImportGuardrails['unit'];
  readonly file: PlannedFile;
  readonly catalogue: Catalogue;
  readonly maxStoredRejects: number;
  /** Of the last file of this kind that the goal imported. */
  readonly columnsBefore: SeenColumns['before'];
  /** Of the workspace. */
  readonly pseudonymKey: Uint8Array;
  /** What processors take for the present: the same whenever the file is read. */
  readonly now: Date;
  /** Creates the empty table, first in the transaction that fills it. */
  readonly createTable: (tx: Transaction) => Promise<void>;
  /** Called between batches. */
  readonly onBatch: () => Promise<void>;
  /** Called when the reading has ended, well or not. */
  readonly onEnd: (rows: RowTally) => void;
}

/** What became of the rows read. */
export type RowTally = Pick<StagedObject, 'rowsRead' | 'rowsFiltered' | 'rowsRejected' | 'fieldsRejected' | 'fields'>;

export interface StagedObject {
  readonly rowsRead: number;
  readonly rowsRejected: number;
  readonly fieldsRejected: number;
  /** Of mapped columns; the root file's alone. */
  readonly fields?: FieldTally | undefined;
  /** Dropped by a processor. */
  readonly rowsFiltered: number;
  readonly logged: ReturnType<RowEncoder['logged']>;
  readonly columnsLeftOut: number;
  /** How its columns differ from what was expected, in sentences. */
  readonly drift: readonly string[];
}

/**
 * Reads one object into its staging table, in one transaction: all of it, or nothing. Rejected rows are listed and
 * counted; more of them than the goal allows end the import.
 * @throws InputError `too-many-rejects` and whatever reading the object ends with; TransientError
 */
export async function stageObject(options: StageObject): Promise<StagedObject> {
  const { database, file, object } = options;
  const table = await openTable({ ...options, dialect: file.dialect });
  try {
    const { columnDrift: policy } = options.goal;
    const now = namesOf(table);
    const seen = { now, before: options.columnsBefore, read: columnsRead(options.goal, file) };
    const drift = judgeDrift(columnDrift(seen, policy));
    const columns = new ColumnIndex(object.key, table.header, table.columns, toleranceOf(policy));
    await saveHeader(database, options.fileId, file.alias, now);
    const encoder = compileRowEncoder({ ...options, columns });
    return await database.transaction(async (tx) => {
      await options.createTable(tx);
      const names = encoder.columns.map((name) => sql.id(name));
      const copy = new CopyWriter(
        tx.copyIn(sql`COPY ${fileTable(options.stage, file)} (${sql.join(names)}) FROM STDIN`),
      );
      try {
        const staged = await copyRows(options, table.batches, encoder, copy);
        new ExpectedContent(object).checkRows(staged.rowsRead);
        await copy.end();
        return { ...staged, drift };
      } catch (error) {
        await copy.abort(error instanceof Error ? error : new Error('staging ended'));
        throw error;
      }
    });
  } catch (error) {
    throw aboutFile(error, object.key);
  } finally {
    table.close();
  }
}

async function copyRows(
  options: StageObject,
  batches: OpenedTable['batches'],
  encoder: RowEncoder,
  copy: CopyWriter,
): Promise<Omit<StagedObject, 'drift'>> {
  const { signal, goal, file } = options;
  const rejects = rejectList(options);
  const toRaw = rawRow(file.dialect);
  const reject = (scope: 'row' | 'field', row: ReadRow, { column, code, message }: FieldRejection): void =>
    rejects.add({ line: row.line, scope, column, code, message, raw: toRaw(row) });
  let rowsRead = 0;
  let rowsFiltered = 0;
  let current: ReadRow = { line: 0, fields: [], quoted: undefined };
  const rejectField = (rejection: FieldRejection): void => reject('field', current, rejection);
  const tally = (): RowTally => ({
    rowsRead,
    rowsFiltered,
    rowsRejected: rejects.rows,
    fieldsRejected: rejects.fields,
    fields: encoder.fields,
  });
  try {
    for await (const batch of batches) {
      signal.throwIfAborted();
      for (const row of batch.rows) {
        rowsRead += 1;
        if (row.kind === 'bad') {
          rejects.add({ ...row, scope: 'row', column: row.column === undefined ? undefined : String(row.column) });
          continue;
        }
        current = row;
        const encoded = encoder.encode(row, rejectField);
        if (typeof encoded === 'string') {
          if (copy.add(encoded)) await copy.flush();
        } else if (encoded === filtered) rowsFiltered += 1;
        else reject('row', row, encoded);
      }
      if (rejects.full) await rejects.flush();
      if (goal.rejectLimit.rows !== undefined && rejects.rows > goal.rejectLimit.rows) break;
      await options.onBatch();
    }
    await rejects.flush();
    checkRejectLimit(goal, rejects.rows, rowsRead);
  } finally {
    options.onEnd(tally());
  }
  return { ...tally(), logged: encoder.logged(), columnsLeftOut: encoder.columnsLeftOut };
}

function rejectList({ database, fileId, stage, file, object, maxStoredRejects }: StageObject): RejectList {
  const origin = { fileId, stage, alias: file.alias, name: object.key };
  return new RejectList({ store: (batch) => insertRejects(database, origin, batch), maxStored: maxStoredRejects });
}

function checkRejectLimit(goal: ImportProfilesGoal, rejected: number, read: number): void {
  const { rows, share } = goal.rejectLimit;
  const over =
    rows !== undefined && rejected > rows
      ? `the goal allows ${rows}`
      : share !== undefined && rejected > share * read
        ? `the goal allows a share of ${share}`
        : undefined;
  if (over === undefined) return;
  throw new InputError(
    'too-many-rejects',
    `${rejected} of the ${read} rows read were rejected, and ${over}: nothing was applied; see the list of rejected rows for the reasons`,
  );
}
