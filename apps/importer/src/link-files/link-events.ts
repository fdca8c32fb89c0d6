import { sql, type Sql, type Transaction } from '@millrace/database';
import type { LinkPlan, PlannedEvent, PlannedFile, PlannedList } from './plan-links.js';
import { columnNames, eventTable, fileTable } from '../storage/staging-tables.js';

/** What became of the linked rows that were staged; `joined` of them hang on events, which are still to be applied. */
export interface LinkCounts {
  readonly joined: number;
  /** Rows of files that only lead from one file to another. */
  readonly bridging: number;
  /** A later row of the same event took their place. */
  readonly superseded: number;
  readonly orphaned: number;
}

/**
 * Joins the staged files of a set into one table of events, by root line. Set-based, each table read once: keys of
 * every parent (its last row of a key wins), list rows gathered per event in file order, the last row of an event id.
 * @param eventTypeIds by event number
 */
export async function linkEvents(
  tx: Transaction,
  stage: string,
  plan: LinkPlan,
  eventTypeIds: readonly number[],
): Promise<LinkCounts> {
  // Sorting and hashing whole files: the default of 4 MB would send every step to disk.
  await tx.query(sql`SET LOCAL work_mem = '64MB'`);
  const files = new Map(plan.map((file) => [file.alias, file]));
  for (const file of plan) await analyseKeys(tx, stage, file);
  for (const file of plan) {
    await attachRows(tx, stage, file, files);
    await mapKeys(tx, stage, file);
  }
  for (const file of plan) for (const list of file.lists) await gatherList(tx, stage, file, list, files);
  await writeEvents(tx, stage, plan, eventTypeIds);
  return countLinks(tx, stage, plan);
}

/** What `attachRows` made, to be read from. Root rows stand for themselves. */
function attached(stage: string, file: PlannedFile): Sql {
  return file.link === undefined
    ? sql`(SELECT line, line AS parent_line, line AS root_line FROM ${fileTable(stage, file)})`
    : sql`${attachedTable(file)}`;
}

const attachedTable = (file: PlannedFile): ReturnType<typeof sql.id> => sql.id(`attached_${file.number}`);
const keys = (file: PlannedFile, column: string): ReturnType<typeof sql.id> =>
  sql.id(`keys_${file.number}_${file.keyColumns.indexOf(column)}`);
const gathered = (list: PlannedList): ReturnType<typeof sql.id> => sql.id(`list_${list.event}_${list.number}`);

/** The planner knows nothing yet of tables that have just been filled. */
async function analyseKeys(tx: Transaction, stage: string, file: PlannedFile): Promise<void> {
  const names = [
    ...(file.link === undefined ? [] : ['parent_key']),
    ...file.keyColumns.map((_, index) => columnNames.key(index)),
  ];
  const columns = sql.join([sql`line`, ...names.map((name) => sql.id(name))]);
  await tx.query(sql`ANALYZE ${fileTable(stage, file)} (${columns})`);
}

/** attached_f(line, parent_line, root_line): the rows that have a row above them, all the way to the root. */
async function attachRows(
  tx: Transaction,
  stage: string,
  file: PlannedFile,
  files: ReadonlyMap<string, PlannedFile>,
): Promise<void> {
  if (file.link === undefined) return;
  await tx.query(sql`
    CREATE TEMP TABLE ${attachedTable(file)} ON COMMIT DROP AS
    SELECT staged.line, parent.line AS parent_line, parent.root_line
    FROM ${fileTable(stage, file)} AS staged
    JOIN ${keys(parentOf(file, files), file.link.parentColumn)} AS parent ON parent.key = staged.parent_key`);
  await tx.query(sql`ANALYZE ${attachedTable(file)}`);
}

/** keys_f_k(key, line, root_line): for each key the last row that has it. */
async function mapKeys(tx: Transaction, stage: string, file: PlannedFile): Promise<void> {
  for (const [index, column] of file.keyColumns.entries()) {
    const key = sql.id('staged', columnNames.key(index));
    await tx.query(sql`
      CREATE TEMP TABLE ${keys(file, column)} ON COMMIT DROP AS
      SELECT DISTINCT ON (${key}) ${key} AS key, staged.line, attached.root_line
      FROM ${fileTable(stage, file)} AS staged
      JOIN ${attached(stage, file)} AS attached ON attached.line = staged.line
      WHERE ${key} IS NOT NULL
      ORDER BY ${key}, staged.line DESC`);
    await tx.query(sql`ANALYZE ${keys(file, column)}`);
  }
}

/** list_e_l(line, items, rows): the rows nested in the event row `line` of the event's file, in file order. */
async function gatherList(
  tx: Transaction,
  stage: string,
  file: PlannedFile,
  list: PlannedList,
  files: ReadonlyMap<string, PlannedFile>,
): Promise<void> {
  const steps: Sql[] = [];
  let below = file;
  let above = parentOf(file, files);
  while (above.alias !== list.mapping.file) {
    steps.push(sql`JOIN ${attached(stage, above)} AS ${sql.id(`above_${above.number}`)}
      ON ${sql.id(`above_${above.number}`, 'line')} = ${sql.id(`above_${below.number}`, 'parent_line')}`);
    below = above;
    above = parentOf(above, files);
  }
  const eventLine = sql.id(`above_${below.number}`, 'parent_line');
  const item = sql.id('staged', columnNames.item(list));
  await tx.query(sql`
    CREATE TEMP TABLE ${gathered(list)} ON COMMIT DROP AS
    SELECT ${eventLine} AS line, jsonb_agg(${item} ORDER BY staged.line) AS items, count(*)::integer AS rows
    FROM ${fileTable(stage, file)} AS staged
    JOIN ${attached(stage, file)} AS ${sql.id(`above_${file.number}`)} ON ${sql.id(`above_${file.number}`, 'line')} = staged.line
    ${sql.join(steps, ' ')}
    GROUP BY ${eventLine}`);
  await tx.query(sql`ANALYZE ${gathered(list)}`);
}

async function writeEvents(
  tx: Transaction,
  stage: string,
  plan: LinkPlan,
  eventTypeIds: readonly number[],
): Promise<void> {
  const candidates = plan.flatMap((file) =>
    file.events.map((event) => candidate(stage, file, event, eventTypeIds[event.number] ?? 0)),
  );
  const lists = plan.flatMap((file) => file.lists);
  const joins = lists.map(
    (list) => sql`LEFT JOIN ${gathered(list)}
      ON event.mapping = ${sql.integer(list.event)} AND ${gathered(list)}.line = event.line`,
  );
  const rows = (list: PlannedList): Sql => sql`coalesce(${gathered(list)}.rows, 0)`;
  const nested = lists.map(
    (list) => sql`CASE WHEN ${gathered(list)}.items IS NULL THEN '{}'
      ELSE jsonb_build_object(${sql.literal(list.list.name)}, ${gathered(list)}.items) END`,
  );
  const sum = (parts: readonly Sql[]): Sql => sql.join([sql`0`, ...parts], ' + ');
  await tx.query(sql`
    CREATE UNLOGGED TABLE ${eventTable(stage)} AS
    SELECT event.root_line, event.event_type_id, event.event_id, event.occurred_at, event.properties,
      ${nested.length === 0 ? sql`'{}'::jsonb` : sql.join(nested, ' || ')} AS lists,
      ${sum(lists.map(rows))} AS list_rows,
      event.counted + ${sum(lists.filter((list) => list.counts).map(rows))} AS linked_rows
    FROM (
      SELECT DISTINCT ON (event_type_id, event_id) *
      FROM (${sql.join(candidates, ' UNION ALL ')}) AS candidate
      ORDER BY event_type_id, event_id, mapping DESC, line DESC
    ) AS event
    ${sql.join(joins, ' ')}
    ORDER BY event.root_line`);
  await tx.query(sql`CREATE INDEX ON ${eventTable(stage)} (root_line)`);
  await tx.query(sql`ANALYZE ${eventTable(stage)}`);
}

function candidate(stage: string, file: PlannedFile, event: PlannedEvent, eventTypeId: number): Sql {
  const names = columnNames.event(event);
  return sql`
    SELECT attached.root_line, ${sql.integer(eventTypeId)} AS event_type_id, staged.${sql.id(names.id)} AS event_id,
      staged.${sql.id(names.occurredAt)} AS occurred_at, staged.${sql.id(names.properties)} AS properties,
      staged.line, ${sql.integer(event.number)} AS mapping, ${sql.integer(event.counts ? 1 : 0)} AS counted
    FROM ${fileTable(stage, file)} AS staged
    JOIN ${attached(stage, file)} AS attached ON attached.line = staged.line
    WHERE staged.${sql.id(names.id)} IS NOT NULL`;
}

async function countLinks(tx: Transaction, stage: string, plan: LinkPlan): Promise<LinkCounts> {
  const { rows: joinedRows } = await tx.query<{ joined: number }>(
    sql`SELECT coalesce(sum(linked_rows), 0)::float8 AS joined FROM ${eventTable(stage)}`,
  );
  const joined = joinedRows[0]?.joined ?? 0;
  let bridging = 0;
  let carrying = 0;
  let orphaned = 0;
  for (const file of plan.filter(({ link }) => link !== undefined)) {
    const { rows } = await tx.query<{ staged: number; attached: number }>(sql`
      SELECT (SELECT count(*)::float8 FROM ${fileTable(stage, file)}) AS staged,
        (SELECT count(*)::float8 FROM ${attachedTable(file)}) AS attached`);
    const { staged, attached: withRoot } = rows[0] ?? { staged: 0, attached: 0 };
    orphaned += staged - withRoot;
    if (file.events.length + file.lists.length === 0) bridging += withRoot;
    else carrying += withRoot;
  }
  return { joined, bridging, superseded: carrying - joined, orphaned };
}

function parentOf(file: PlannedFile, files: ReadonlyMap<string, PlannedFile>): PlannedFile {
  const parent = file.link === undefined ? undefined : files.get(file.link.parent);
  if (parent === undefined) throw new Error(`"${file.alias}" has no file above it`);
  return parent;
}
