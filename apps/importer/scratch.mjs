import { randomUUID } from 'node:crypto';
import { mkdtempSync, chmodSync, createWriteStream, statSync } from 'node:fs';
import { execSync } from 'node:child_process';
import path from 'node:path';
import { Database, migrate, sql } from '@millrace/database';
import { importProfilesGoal } from '@millrace/domain';
import { createMemoryWakeUps, newOwner, openGoalUnit, workMigrations } from '@millrace/job-queue';
import { createFolderObjectStore } from '@millrace/object-store';
import { createProperty, createWorkspace, profileMigrations } from '@millrace/profile-store';
import { ImportWorker } from './dist/run-import/import-worker.js';
import { importerMigrations } from './dist/storage/importer-migrations.js';
import { startStack } from '../../packages/dev-stack/dist/index.js';
const N = Number(process.argv[2] ?? 200000);
const linked = process.argv.includes('--linked');
const dir = mkdtempSync('/tmp/importer-bench-'); chmodSync(dir, 0o711);
const stack = await startStack({ directory: dir, cacheDirectory: '/work/main/.dev', needs: ['postgres'], env: {}, throwaway: true });
const url = stack.urls.database;
await migrate(url, [profileMigrations, workMigrations, importerMigrations]);
const database = new Database({ url, applicationName: 'bench', maxConnections: 8 });
const ws = await createWorkspace(database, { name: 'bench', title: '' });
const cols = ['first','last','city','street','zip','country','phone','born','points','score','active'];
const types = { born: 'date', points: 'decimal', score: 'integer', active: 'boolean' };
for (const name of cols) await database.transaction((tx) => createProperty(tx, ws.id, { name, type: types[name] ?? 'string', list: false, unique: false, labels: [] }));
const root = path.join(dir, 'store'); execSync(`mkdir -p ${root}/bucket/in`);
const out = createWriteStream(`${root}/bucket/in/customers.csv`);
out.write('id,' + cols.join(',') + '\n');
let buf = '';
for (let i = 0; i < N; i++) { buf += `cust-${i},First${i % 1000},Last name ${i},City ${i % 500},"Some street, ${i}",0${i % 9000},BE,+32 ${i},19${10 + i % 80}-0${1 + i % 9}-11,${i % 100}.25,${i},${i % 2 ? 'true' : 'false'}\n`; if (buf.length > 1e6) { if (!out.write(buf)) await new Promise(r => out.once('drain', r)); buf = ''; } }
out.end(buf); await new Promise(r => out.once('close', r));
async function write(name, header, count, line) { const o = createWriteStream(`${root}/bucket/in/${name}`); o.write(header); let b = ''; for (let i = 0; i < count; i++) { b += line(i); if (b.length > 1e6) { if (!o.write(b)) await new Promise(r => o.once('drain', r)); b = ''; } } o.end(b); await new Promise(r => o.once('close', r)); }
if (linked) {
  await write('orders.csv', 'order,id,at,total\n', N * 5, (i) => `o${i},cust-${i % N},2026-01-0${1 + i % 9} 10:00:00,${i % 300}.50\n`);
  await write('lines.csv', 'order,product,quantity,unitPrice\n', N * 10, (i) => `o${i % (N * 5)},p${i % 77},${i % 9},${i % 40}.25\n`);
}
console.log('file MB', Math.round(statSync(`${root}/bucket/in/customers.csv`).size / 1e6));
const goal = importProfilesGoal.parse({ kind: 'import-profiles', name: 'b', source: { bucket: 'bucket', directory: 'in', pattern: { kind: 'exact', name: 'customers.csv' } },
  matching: { identifiers: [{ column: 'id', namespace: 'customerId' }] }, mappings: cols.map((c) => ({ column: c, property: c })),
  ...(linked ? { linked: [{ alias: 'orders', pattern: { kind: 'exact', name: 'orders.csv' }, column: 'id', parentColumn: 'id' }, { alias: 'lines', parent: 'orders', pattern: { kind: 'exact', name: 'lines.csv' }, column: 'order', parentColumn: 'order' }],
   events: [{ file: 'orders', type: 'order', idColumn: 'order', occurredAtColumn: 'at', mappings: [{ column: 'total', property: 'total' }], lists: [{ name: 'products', file: 'lines', mappings: [{ column: 'product', property: 'productId' }, { column: 'quantity', property: 'quantity' }, { column: 'unitPrice', property: 'unitPrice' }] }] }] } : {}) });
if (global.gc) gc(); console.log('before', Math.round(process.memoryUsage.rss()/1e6));
let peak = 0; let pk = {}; const timer = setInterval(() => { const m = process.memoryUsage(); for (const k in m) pk[k] = Math.max(pk[k] ?? 0, Math.round(m[k] / 1e6)); peak = Math.max(peak, m.rss); }, 20);
let done; const ended = new Promise(r => done = r);
const t0 = performance.now(); const at = () => Math.round(performance.now() - t0);
const noop = () => {};
const worker = new ImportWorker({ database: new Database({ url, applicationName: 'imp', maxConnections: 8 }), leaseDatabase: new Database({ url, applicationName: 'imp-l', maxConnections: 2 }), wakeUps: createMemoryWakeUps(),
  events: { fileSkipped: noop, stagingLost: noop, chunkApplied: noop, sourceKept: noop, tablesSwept: noop, sweepFailed: console.log, fileStaged: (f) => console.log(at(), 'staged', f.elapsedMs, 'ms', Math.round((f.rowsRead + f.linkedRows) / f.elapsedMs), 'K rows/s rss', Math.round(peak / 1e6)), filePlanned: (f) => console.log(at(), 'planned', f), fileFinished: (f) => { console.log(at(), 'finished', f.elapsedMs, JSON.stringify(f.counts)); done(); } },
  settings: { lanes: Number(process.env.LANES ?? 2), chunkLines: Number(process.env.CHUNK ?? 20000), maxStoredRejects: 1000, maxPlainBytes: 1e12 }, sealingKey: new Uint8Array(32), openStore: () => createFolderObjectStore({ root }), owner: newOwner('b'), runs: 1, leaseTtlMs: 30000, log: { info: console.log, warn: console.log, error: console.log } });
worker.start();
const endpoint = { region: 'x', credentials: { kind: 'default-chain' } };
await database.transaction((tx) => openGoalUnit(tx, { queue: 'import-run', runId: randomUUID(), goalId: randomUUID(), snapshot: { version: 1, workspaceId: ws.id, connectionId: randomUUID(), goalId: randomUUID(), goal, endpoint }, payload: { version: 1 } }));
await ended; await new Promise(r => setTimeout(r, 500));
console.log(pk); console.log('total', at(), 'peak rss MB', Math.round(peak / 1e6));
await worker.stop(); clearInterval(timer); await database.end(); await stack.stop(); execSync(`rm -rf ${dir}`); process.exit(0);
