import { sql, type Database } from '@millrace/database';
import {
  buildSegments,
  createSegment,
  deleteSegment,
  listSegments,
  loadCatalogue,
  type WorkspaceRecord,
} from '@millrace/profile-store';

/** Fills the empty store with N profiles like those of the people file, all of them in the returned segment. */
export async function seedProfiles(database: Database, workspace: WorkspaceRecord, rows: number): Promise<string> {
  const catalogue = await loadCatalogue(database, workspace.id);
  for (const { id } of await listSegments(database, workspace.id)) await deleteSegment(database, workspace.id, id);
  const email = catalogue.namespaces.get('email')!.id;
  await database.query(sql`
    WITH person AS MATERIALIZED (SELECT uuidv7() AS id, g FROM generate_series(0, ${rows - 1}::int) AS g), created AS (
      INSERT INTO profile.profile (id, workspace_id, domain_group_id, properties, version)
      SELECT id, ${workspace.id}::int, ${catalogue.domainGroupId}::int, jsonb_build_object(
        'customerNumber', 'C' || lpad(g::text, 8, '0'), 'person.firstName', 'First' || g % 5000, 'person.lastName', 'Last, ' || g % 20000,
        'address.street', g % 200 || ' Long Street Name', 'address.city', (ARRAY['Berlin', 'Köln', 'México D.F.', 'London', 'Oulu'])[1 + g % 5],
        'address.postalCode', lpad((g % 99999)::text, 5, '0'), 'address.country', 'Germany', 'telephone', '+49 30 ' || 1000000 + g,
        'birthday', '19' || 50 + g % 50 || '-01-1' || g % 10, 'score', (g % 1000 || '.' || g % 100)::numeric,
        'optIn', CASE g % 2 WHEN 0 THEN 'no' ELSE 'yes' END), (1::bigint << 40) + 1
      FROM person
    )
    INSERT INTO profile.identity (domain_group_id, namespace_id, value, profile_id)
    SELECT ${catalogue.domainGroupId}::int, ${email}::int, 'person' || g || '@example.com', id FROM person ORDER BY 3`);
  await database.query(sql`ANALYZE profile.profile, profile.identity`);
  const segment = await createSegment(database, workspace.id, {
    name: 'everyone',
    rule: { kind: 'property', property: 'address.country', op: 'equals', value: 'Germany' },
  });
  while (await buildSegments(database));
  await database.query(sql`VACUUM (ANALYZE) profile.profile`);
  await database.query(sql`VACUUM (ANALYZE) profile.membership`);
  return segment.id;
}
