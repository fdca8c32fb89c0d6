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
  await tx.query(sql`SET LOCAL work_mem = '256MB'`);
  await tx.query(sql`SET LOCAL jit = off`);
  const files = new Map(plan.map((file) => [file.alias, file]));
  const join: Join = { stage, files };
  for (const file of plan) await analyseKeys(tx, stage, file);
  for (const file of plan) await mapKeys(tx, join, file);
  for (const file of plan) for (const list of file.lists) await gatherList(tx, join, file, list);
  await writeEvents(tx, join, plan, eventTypeIds);
  return countLinks(tx, join, plan);
}

interface Join {
  readonly stage: string;
  readonly files: ReadonlyMap<string, PlannedFile>;
}

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

/** The rows of a file that have a row above them, all the way to the root: `staged`, and `parent` (line, root_line). */
function attached({ stage, files }: Join, file: PlannedFile): Sql {
  return file.link === undefined
    ? sql`${fileTable(stage, file)} AS staged CROSS JOIN LATERAL (SELECT staged.line, staged.line AS root_line) AS parent`
    : sql`${fileTable(stage, file)} AS staged
      JOIN ${keys(parentOf(file, files), file.link.parentColumn)} AS parent ON parent.key = staged.parent_key`;
}

/** keys_f_k(key, line, root_line): for each key the last row that has it. */
async function mapKeys(tx: Transaction, join: Join, file: PlannedFile): Promise<void> {
  for (const [index, column] of file.keyColumns.entries()) {
    const key = sql.id('staged', columnNames.key(index));
    const table = keys(file, column);
    await tx.query(sql`
      CREATE TEMP TABLE ${table} ON COMMIT DROP AS
      SELECT DISTINCT ON (${key}) ${key} AS key, staged.line, parent.root_line
      FROM ${attached(join, file)}
      WHERE ${key} IS NOT NULL
      ORDER BY ${key}, staged.line DESC`);
    await tx.query(sql`ANALYZE ${table} (key, line)`);
  }
}

/** list_e_l(line, items, rows): the rows nested in the event row `line` of the event's file, in file order. */
async function gatherList(tx: Transaction, join: Join, file: PlannedFile, list: PlannedList): Promise<void> {
  const steps: Sql[] = [];
  let line = sql`parent.line`;
  for (let above = parentOf(file, join.files); above.alias !== list.mapping.file; above = parentOf(above, join.files)) {
    const step = sql.id(`above_${above.number}`);
    steps.push(sql`JOIN (SELECT staged.line, parent.line AS parent_line FROM ${attached(join, above)}) AS ${step}
      ON ${step}.line = ${line}`);
    line = sql`${step}.parent_line`;
  }
  const item = sql.id('staged', columnNames.item(list));
  await tx.query(sql`
    CREATE TEMP TABLE ${gathered(list)} ON COMMIT DROP AS
    SELECT ${line} AS line, jsonb_agg(${item} ORDER BY staged.line) AS items, count(*)::integer AS rows
    FROM ${attached(join, file)}
    ${sql.join(steps, ' ')}
    GROUP BY ${line}`);
  await tx.query(sql`ANALYZE ${gathered(list)} (line)`);
}

async function writeEvents(
  tx: Transaction,
  join: Join,
  plan: LinkPlan,
  eventTypeIds: readonly number[],
): Promise<void> {
  const candidates = plan.flatMap((file) =>
    file.events.map((event) => candidate(join, file, event, eventTypeIds[event.number] ?? 0)),
  );
  const { stage } = join;
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
  await tx.query(sql`ANALYZE ${eventTable(stage)} (root_line)`);
}

function candidate(join: Join, file: PlannedFile, event: PlannedEvent, eventTypeId: number): Sql {
  const names = columnNames.event(event);
  return sql`
    SELECT parent.root_line, ${sql.integer(eventTypeId)} AS event_type_id, staged.${sql.id(names.id)} AS event_id,
      staged.${sql.id(names.occurredAt)} AS occurred_at, staged.${sql.id(names.properties)} AS properties,
      staged.line, ${sql.integer(event.number)} AS mapping, ${sql.integer(event.counts ? 1 : 0)} AS counted
    FROM ${attached(join, file)}
    WHERE staged.${sql.id(names.id)} IS NOT NULL`;
}

async function countLinks(tx: Transaction, join: Join, plan: LinkPlan): Promise<LinkCounts> {
  const count = async (query: Sql): Promise<number> =>
    (await tx.query<{ rows: number }>(sql`SELECT coalesce((${query}), 0)::float8 AS rows`)).rows[0]!.rows;
  const joined = await count(sql`SELECT sum(linked_rows) FROM ${eventTable(join.stage)}`);
  let bridging = 0;
  let carrying = 0;
  let orphaned = 0;
  for (const file of plan.filter(({ link }) => link !== undefined)) {
    const [list] = file.lists;
    // What is nested in events has been counted by event.
    const withRoot = await count(
      list === undefined
        ? sql`SELECT count(*) FROM ${attached(join, file)}`
        : sql`SELECT sum(rows) FROM ${gathered(list)}`,
    );
    orphaned += (await count(sql`SELECT count(*) FROM ${fileTable(join.stage, file)}`)) - withRoot;
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
