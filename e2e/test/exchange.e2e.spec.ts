import { goalOf, Exchange } from './exchange.js';
import { exportFolder } from './exchange-goals.js';
import { Millrace } from './millrace.js';
import { makeSample, ordersOf, type Sample } from './sample.js';
import type { RunView } from './api.js';

type Counts = Readonly<Record<string, number>>;

describe('the exchange: customers, orders and order lines in, buyers out, changes streamed', () => {
  let millrace: Millrace;
  let sample: Sample;
  let exchange: Exchange;
  let run: RunView;
  let imported: Counts;

  beforeAll(async () => {
    [millrace, sample] = await Promise.all([
      Millrace.start('exchange'),
      makeSample({ customers: 3000, orders: 6000, linesPerOrder: 2.5, seed: 7 }),
    ]);
    exchange = await Exchange.prepare(millrace, 'exchange', sample);
    run = await exchange.run();
    imported = goalOf(run, 'import-profiles').counts as Counts;
  });

  afterAll(async () => {
    await millrace?.stop();
  });

  it('reads every row of the gzipped and encrypted file, and gives each exactly one outcome', () => {
    const { rowsRead, created, updated, unchanged, ambiguous, rejected } = imported as Record<string, number>;
    const skipped = Object.values(imported['skipped'] as unknown as Record<string, number>).reduce((a, b) => a + b, 0);
    expect(rowsRead).toBe(sample.facts.customerRows);
    expect(rejected).toBe(sample.facts.badCustomerRows);
    expect(created! + updated! + unchanged! + skipped + ambiguous! + rejected!).toBe(rowsRead);
    expect(imported['profilesCreated']).toBe(sample.facts.customers);
  });

  it('gives every linked row an outcome too, orphans among them', () => {
    const { facts } = sample;
    const { linkedRowsRead, linkedRowsUsed, linkedRowsRejected, linkedRowsSuperseded, linkedRowsOrphaned } = imported;
    expect(linkedRowsRead).toBe(facts.orders + facts.lines);
    expect(linkedRowsOrphaned).toBe(facts.orphanOrders + facts.orphanLines);
    expect(linkedRowsUsed! + linkedRowsRejected! + linkedRowsSuperseded! + linkedRowsOrphaned!).toBe(linkedRowsRead);
    expect(imported).toMatchObject({
      events: facts.orders - facts.orphanOrders,
      eventLines: facts.lines - facts.orphanLines,
    });
  });

  it('shows the same figures as the store holds', async () => {
    const { facts } = sample;
    expect(await millrace.api.get(`${exchange.path}/statistics`)).toMatchObject({
      profiles: facts.customers,
      events: facts.orders - facts.orphanOrders,
      eventLines: facts.lines - facts.orphanLines,
    });
  });

  it('lists each rejected row with file, line and reason', async () => {
    interface Rejects {
      readonly rejectedRows: number;
      readonly items: readonly { readonly name: string; readonly line: number; readonly message: string }[];
    }
    const rejects = await millrace.api.get<Rejects>(`${exchange.path}/runs/${run.id}/rejects?limit=1000`);
    expect(rejects.rejectedRows).toBe(sample.facts.badCustomerRows);
    expect(rejects.items).toHaveLength(sample.facts.badCustomerRows);
    for (const { name, line, message } of rejects.items) {
      expect(name).toBe('incoming/customers.csv.gz.pgp');
      expect(line).toBeGreaterThan(1);
      expect(message).not.toBe('');
    }
  });

  it('finds a customer by identity, with the sum of the points, the orders and their lines', async () => {
    const [first] = ordersOf(sample);
    const [orderId, customerId] = first as [string, string];
    interface Profile {
      readonly properties: { readonly loyalty?: { readonly points: number } };
      readonly events: readonly { readonly id: string; readonly lists: { readonly products: readonly object[] } }[];
    }
    const query = new URLSearchParams({ namespace: 'customerId', value: customerId });
    const profile = await millrace.api.get<Profile>(`${exchange.path}/profiles?${query.toString()}`);
    const points = sample.customerRows.filter(({ id }) => id === customerId).reduce((sum, row) => sum + row.points, 0);
    expect(profile.properties.loyalty?.points ?? 0).toBe(points);
    expect(profile.events.find(({ id }) => id === orderId)?.lists.products.length).toBeGreaterThan(0);
  });

  it('writes each buyer once, encrypted and signed, and objects, manifest and counts agree', async () => {
    const buyers = new Set(ordersOf(sample).map(([, customerId]) => customerId ?? ''));
    const known = new Set(sample.customerRows.map(({ id }) => id));
    const due = [...buyers].filter((id) => known.has(id)).sort();
    const counts = goalOf(run, 'export-profiles').counts;
    const files = await exchange.exported();
    const [manifest] = await exchange.manifests();

    expect(files.flatMap(({ rows }) => rows.map(([customer = '']) => customer)).sort()).toEqual(due);
    expect(files.length).toBe(2);
    const told = files.map(({ key, bytes, sha256, rows }) => ({ name: key, rows: rows.length, bytes, sha256 }));
    expect(counts).toMatchObject({ rows: due.length, files: told, mode: 'full' });
    const listed = told.map(({ name, ...file }) => ({ name: name.slice(exportFolder.length + 1), ...file }));
    expect(manifest).toMatchObject({ runId: run.id, rows: due.length, files: listed, mode: 'full' });
    for (const { header } of files) expect(header.slice(0, 3)).toEqual(['Customer number', 'E-mail', 'First name']);
    expect(await millrace.bucket.listOpenUploads(exchange.bucket)).toEqual([]);
  });

  it('ends the stream of each profile with what the profile is', async () => {
    await exchange.streamIsQuiet();
    const streamed = await exchange.streamed();
    const last = new Map([...streamed].map(([id, states]) => [id, states.at(-1)]));
    expect(last).toEqual(await exchange.streamable());
  });

  it('imports nothing and exports nothing when it runs again', async () => {
    const before = { store: await exchange.store(), objects: await exchange.objects(exportFolder) };
    const again = await exchange.run();
    expect(goalOf(again, 'import-profiles').counts).toMatchObject({
      files: 0,
      filesSkipped: 1,
      rowsRead: 0,
      events: 0,
    });
    expect(
      goalOf(again, 'import-profiles')
        .notes.map(({ message }) => message)
        .join(),
    ).toContain(run.id);
    expect(goalOf(again, 'export-profiles').counts).toMatchObject({ rows: 0, files: [], mode: 'delta' });
    expect({ store: await exchange.store(), objects: await exchange.objects(exportFolder) }).toEqual(before);
  });

  it('exports only what changed since', async () => {
    const [first] = await exchange.exported();
    const changed = first?.rows[0]?.[0] ?? '';
    const identities = [{ namespace: 'customerId', value: changed }];
    await exchange.ingest('b1', [
      { identities, properties: [{ property: 'person.name.firstName', value: 'Renamed' }] },
    ]);
    const before = new Set(await exchange.objects(exportFolder));
    const delta = await exchange.run();
    expect(goalOf(delta, 'export-profiles').counts).toMatchObject({ rows: 1, mode: 'delta' });
    const files = (await exchange.exported()).filter(({ key }) => !before.has(key.slice(exportFolder.length + 1)));
    expect(files.flatMap(({ rows }) => rows.map(([id, , name]) => [id, name]))).toEqual([[changed, 'Renamed']]);
  });
});
