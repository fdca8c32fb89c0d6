import { DataSource, type MigrationInterface } from 'typeorm';

export interface MigrationSet {
  /** The schema these migrations own; their journal is `<schema>.migration`. */
  readonly schema: string;
  /** Class names end in a 13-digit time, which orders them (TypeORM's rule). */
  readonly migrations: readonly (new () => MigrationInterface)[];
}

// One key for all of Millrace: two services that start together take turns.
const migrationLock = 7_238_412_001;

/** Applies what is missing, set by set, in order. Safe to run from several services at once. Returns the names applied. */
export async function migrate(url: string, sets: readonly MigrationSet[]): Promise<readonly string[]> {
  const applied: string[] = [];
  const gate = await new DataSource({
    type: 'postgres',
    url,
    applicationName: 'millrace-migrate',
    poolSize: 1,
  }).initialize();
  try {
    await gate.query(`SELECT pg_advisory_lock(${migrationLock})`);
    for (const set of sets) {
      await gate.query(`CREATE SCHEMA IF NOT EXISTS "${set.schema}"`);
      const source = await new DataSource({
        type: 'postgres',
        url,
        applicationName: 'millrace-migrate',
        schema: set.schema,
        migrations: [...set.migrations],
        migrationsTableName: 'migration',
        poolSize: 1,
      }).initialize();
      try {
        const done = await source.runMigrations({ transaction: 'each' });
        applied.push(...done.map((migration) => migration.name));
      } finally {
        await source.destroy();
      }
    }
    await gate.query(`SELECT pg_advisory_unlock(${migrationLock})`);
  } finally {
    await gate.destroy();
  }
  return applied;
}
