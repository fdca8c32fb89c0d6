import { createHash, randomBytes } from 'node:crypto';
import pg from 'pg';
import { testUrl } from './environment.js';

/** Structurally `MigrationSet` of @millrace/database, which is itself tested with this package and so cannot be imported. */
export interface TemplateMigrations {
  readonly schema: string;
  readonly migrations: readonly (new () => object)[];
}

export interface TestDatabaseOptions<Sets extends readonly TemplateMigrations[]> {
  /** `migrate` of @millrace/database. */
  readonly migrate: (url: string, sets: Sets) => Promise<unknown>;
  readonly sets: Sets;
  /** A server other than that of the test run, such as a private one. */
  readonly server?: string | undefined;
}

export interface TestDatabase {
  readonly name: string;
  readonly url: string;
  /** Ends the connections still open and deletes the database. */
  drop(): Promise<void>;
}

/**
 * A database of its own for one test file, empty, or with the migrations applied: those run once per distinct set into a
 * template, from which every file gets its copy within some 100 ms. Drop it in `afterAll`.
 */
export async function createTestDatabase<Sets extends readonly TemplateMigrations[]>(
  name: string,
  options?: TestDatabaseOptions<Sets>,
): Promise<TestDatabase> {
  const server = options?.server ?? testUrl('database');
  const database = `test_${name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .slice(0, 40)}_${randomBytes(4).toString('hex')}`;
  const template = options === undefined ? undefined : await ensureTemplate(server, options);
  await onServer(server, async (client) => {
    const copy = template === undefined ? '' : ` TEMPLATE ${client.escapeIdentifier(template)}`;
    await client.query(`CREATE DATABASE ${client.escapeIdentifier(database)}${copy}`);
  });
  const url = withDatabase(server, database);
  return {
    name: database,
    url,
    drop: async () => {
      await dropTestDatabase(url);
    },
  };
}

/** Refuses unless the database's name says that it is for tests. Every helper that destroys data asks this first. */
export function assertTestDatabase(url: string): string {
  const name = decodeURIComponent(new URL(url).pathname.slice(1));
  if (!/(^|[_-])test([_-]|$)/i.test(name)) {
    throw new Error(`refused: "${name}" is not a test database (its name has no word "test")`);
  }
  return name;
}

/** Deletes a test database, ending the connections to it. */
export async function dropTestDatabase(url: string): Promise<void> {
  const name = assertTestDatabase(url);
  await onServer(url, async (client) => {
    await client.query(`DROP DATABASE IF EXISTS ${client.escapeIdentifier(name)} WITH (FORCE)`);
  });
}

async function ensureTemplate<Sets extends readonly TemplateMigrations[]>(
  server: string,
  options: TestDatabaseOptions<Sets>,
): Promise<string> {
  // The sources count as well, so that an edited migration gets a template of its own.
  const content = options.sets.map(({ schema, migrations }) => [
    schema,
    migrations.map((migration) => [migration.name, String(migration)]),
  ]);
  const hash = createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 16);
  const template = `test_template_${hash}`;
  await onServer(server, async (client) => {
    // Test files that run side by side wait here for the first of them.
    await client.query('SELECT pg_advisory_lock(hashtextextended($1, 0))', [template]);
    const found = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [template]);
    if (found.rowCount !== 0) return;
    const draft = `${template}_draft`;
    await client.query(`DROP DATABASE IF EXISTS ${draft} WITH (FORCE)`);
    await client.query(`CREATE DATABASE ${draft}`);
    await options.migrate(withDatabase(server, draft), options.sets);
    await client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [draft]);
    await client.query(`ALTER DATABASE ${draft} RENAME TO ${template}`);
  });
  return template;
}

function withDatabase(server: string, database: string): string {
  const url = new URL(server);
  url.pathname = `/${database}`;
  return url.href;
}

async function onServer<T>(server: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: withDatabase(server, 'postgres'),
    application_name: 'millrace-testing',
  });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
