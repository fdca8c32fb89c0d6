import { sql, type Database } from '@millrace/database';

/**
 * Notes from now on what each transaction does in `audit.change`: one row for each written row of interest. `stamp` in its
 * detail is the row's changed_xid where the change is one an export must see.
 */
export async function auditChanges(database: Database): Promise<void> {
  await database.query(sql`CREATE SCHEMA audit`);
  await database.query(sql`
    CREATE TABLE audit.change (
      xid xid8 NOT NULL DEFAULT pg_current_xact_id(), kind text NOT NULL, profile_id uuid NOT NULL, detail jsonb NOT NULL, query text NOT NULL DEFAULT left(current_query(), 200))`);
  await database.query(sql`CREATE INDEX ON audit.change (xid, profile_id)`);
  await database.query(sql`
    CREATE FUNCTION audit.note_profile() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO audit.change (kind, profile_id, detail) VALUES ('profile', new.id, jsonb_build_object('before', old.version, 'after', new.version)
        || CASE WHEN old.properties IS DISTINCT FROM new.properties OR old.changed_xid IS DISTINCT FROM new.changed_xid
             THEN jsonb_build_object('stamp', new.changed_xid::text) ELSE '{}' END
        || CASE WHEN old.properties IS NOT DISTINCT FROM new.properties THEN '{"same": true}'::jsonb ELSE '{}' END);
      RETURN NULL;
    END $$`);
  await database.query(sql`
    CREATE FUNCTION audit.note_row() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE row jsonb := to_jsonb(new); BEGIN
      INSERT INTO audit.change (kind, profile_id, detail) VALUES (tg_table_name, new.profile_id, row
        || CASE WHEN row ? 'changed_xid' THEN jsonb_build_object('stamp', row->>'changed_xid') ELSE '{}' END
        || CASE WHEN row ? 'segment_id' THEN jsonb_build_object('segment', row->>'segment_id') ELSE '{}' END);
      RETURN NULL;
    END $$`);
  await database.query(
    sql`CREATE TRIGGER audit AFTER INSERT OR UPDATE ON profile.profile FOR EACH ROW EXECUTE FUNCTION audit.note_profile()`,
  );
  await database.query(sql`
    CREATE FUNCTION audit.note_group() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO audit.change (kind, profile_id, detail) VALUES ('group', coalesce(new.profile_id, old.profile_id), '{}');
      RETURN NULL;
    END $$`);
  await database.query(
    sql`CREATE TRIGGER audit AFTER INSERT OR DELETE ON profile.group_member FOR EACH ROW EXECUTE FUNCTION audit.note_group()`,
  );
  for (const table of ['membership', 'consent', 'identity', 'outbox']) {
    await database.query(
      sql`CREATE TRIGGER audit AFTER INSERT OR UPDATE ON ${sql.id('profile', table)} FOR EACH ROW EXECUTE FUNCTION audit.note_row()`,
    );
  }
}
