import { sql, type Database } from '@millrace/database';
import { alternate, type Bench } from './bench.js';
import { runExport, timeCopyOut, withExportSetting } from './export-setting.js';

const eventsPerProfile = 4;

/** N orders with two products each, of a quarter as many people: one file of profiles, one of orders, one of products. */
export const exportEvents: Bench = {
  about: 'N events with nested lists and their profiles, against three \\copy | gzip -1',
  async run(options) {
    const profiles = Math.ceil(options.rows / eventsPerProfile);
    const rows = profiles * eventsPerProfile;
    return withExportSetting({ ...options, rows: profiles }, async (setting) => {
      options.say(`seeding ${rows} events`);
      await seedEvents(setting.bench.database, setting.workspace.id);
      const ours = async (): ReturnType<typeof runExport> => {
        const sample = await runExport(setting, {
          goal: { timeline: { types: ['order'] } },
        });
        if (sample.counts['events'] !== rows) throw new Error(`${String(sample.counts['events'])} of ${rows} events`);
        return sample;
      };
      return alternate('export-events', { ...options, rows }, ours, () =>
        timeCopyOut(setting, 'export-events-floor.sql', 'gzip -1'),
      );
    });
  },
};

async function seedEvents(database: Database, workspaceId: number): Promise<void> {
  await database.query(sql`
    INSERT INTO profile.event (event_type_id, id, profile_id, occurred_at, properties, lists)
    SELECT t.id, 'order-' || p.id || '-' || g, p.id, timestamptz '2026-01-01' + g * interval '1 day',
      jsonb_build_object('total', g * 10 + 0.5, 'currency', 'EUR', 'status', 'delivered'),
      jsonb_build_object('products', jsonb_build_array(
        jsonb_build_object('productId', 'P' || g, 'name', 'Tea, green', 'unitPrice', 4.5, 'quantity', g, 'discount', 0),
        jsonb_build_object('productId', 'Q' || g, 'name', 'Chai', 'unitPrice', 18, 'quantity', 1, 'discount', 0.1)))
    FROM profile.profile p, generate_series(1, ${eventsPerProfile}::int) AS g, profile.event_type t
    WHERE p.workspace_id = ${workspaceId} AND t.workspace_id = ${workspaceId} AND t.code = 'order'`);
  await database.query(sql`VACUUM (ANALYZE) profile.event`);
}
