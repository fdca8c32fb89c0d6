import { Database, migrate, sql } from '@millrace/database';
import * as ps from './dist/index.js';
const N = Number(process.argv[2] ?? 100000); const mode = process.argv[3] ?? 'new'; const lanes = Number(process.argv[4] ?? 2);
const admin = new Database({ url: 'postgres://postgres@127.0.0.1:5599/postgres', applicationName: 's' });
await admin.query(sql`DROP DATABASE IF EXISTS scratch_test WITH (FORCE)`); await admin.query(sql`CREATE DATABASE scratch_test`); await admin.end();
const url = 'postgres://postgres@127.0.0.1:5599/scratch_test';
await migrate(url, [ps.profileMigrations]);
const db = new Database({ url, applicationName: 's' });
const ws = await ps.createWorkspace(db, { name: 'demo', title: '' });
await db.query(sql`CREATE SCHEMA importer`);
for (let i = 0; i < 11; i++) await db.transaction(tx => ps.createProperty(tx, ws.id, { name: `person.field${i}`, type: 'string', list: false, unique: false, labels: [] }));
const cat = await ps.loadCatalogue(db, ws.id);
if (mode.includes('stream')) await db.transaction(tx => ps.registerStreamTarget(tx, { goalId: crypto.randomUUID(), workspaceId: ws.id, propertyIds: [...cat.properties.values()].map(p => p.id), suppressSameValue: false }));
async function run(k, dup) {
  const shape = { workspaceId: ws.id, domainGroupId: cat.domainGroupId, staging: { schema: 'importer', name: `stage_${k}` }, plan: { schema: 'importer', name: `plan_${k}` }, planLines: { schema: 'importer', name: `plan_${k}_line` }, namespaceIds: mode.includes('multi') ? [cat.namespaces.get('email').id, cat.namespaces.get('phone').id] : [cat.namespaces.get('email').id], uses: { fill: false, clear: false, append: [], increment: [], consent: false }, allowCreation: true, policy: 'unambiguous', maxComponentRows: 1000, chunkLines: 50000, persistence: 'durable' };
  let t = performance.now(); const lap = (w) => { const n = performance.now(); console.log(k, w, ((n - t) / 1000).toFixed(2)); t = n; };
  await db.transaction(tx => ps.createStagingTable(tx, shape)); 
  const props = sql`jsonb_build_object('person.field0', md5(g::text), 'person.field1', 'value'||g, 'person.field2', 'city'||g%100, 'person.field3','constant', 'person.field4', g::text, 'person.field5', md5((g+${k}::int)::text), 'person.field6','a', 'person.field7','b', 'person.field8','street '||g, 'person.field9', '12345', 'person.field10','x')`;
  await db.query(sql`INSERT INTO importer.${sql.id('stage_' + k)} SELECT g, 'user'||(g/${dup}::int)||'@example.com', ${mode.includes('multi') ? sql`'49'||(g/${dup}::int),` : sql``} ${props} FROM generate_series(1, ${N}::int) g`);
  lap('stage(sql)');
  const plan = await db.transaction(tx => ps.resolveRows(tx, shape)); lap('resolve'); console.log(plan);
  let next = 0; const total = {};
  await Promise.all(Array.from({ length: lanes }, async () => { while (next < plan.chunks) { const c = next++; const r = await db.transaction(tx => ps.applyChunk(tx, shape, c)); for (const [k2, v] of Object.entries(r)) total[k2] = (total[k2] ?? 0) + v; } }));
  lap('apply'); console.log(total);
}
await run(1, 1); await run(2, 1); await run(3, 2);
console.log((await db.query(sql`SELECT count(*), sum(version)::text FROM profile.profile`)).rows, (await db.query(sql`SELECT count(*) FROM profile.outbox`)).rows);
await db.end();
