import type { RunView } from './api.js';
import { exportFolder } from './exchange-goals.js';
import { goalOf, succeeded, type Exchange } from './exchange.js';
import type { Identity } from './hold.js';
import type { Sample } from './sample.js';
import { differences, noDifferences } from './store-contents.js';

/** What came of an exchange, without what differs between two undisturbed ones: ids, times, and ciphertext. */
export interface Outcome {
  readonly imported: Readonly<Record<string, unknown>>;
  readonly exported: Readonly<Record<string, unknown>>;
  readonly store: readonly string[];
  /** Each row as JSON, sorted. */
  readonly rows: readonly string[];
}

export async function outcomeOf(exchange: Exchange, run: RunView): Promise<Outcome> {
  const { rows, mode, reason, members, files } = goalOf(run, 'export-profiles').counts;
  const written = files as readonly { readonly rows: number }[];
  const { lastCreated, lastUpdated, ...counts } = goalOf(run, 'import-profiles').counts;
  return {
    imported: { ...counts, lastCreated: howMany(lastCreated), lastUpdated: howMany(lastUpdated) },
    exported: {
      rows,
      mode,
      reason,
      members,
      rowsOfFiles: written.reduce((sum, file) => sum + file.rows, 0),
      files: written.length,
    },
    store: await exchange.store(),
    rows: (await exchange.exported()).flatMap(({ rows }) => rows.map((row) => JSON.stringify(row))).sort(),
  };
}

function howMany(ids: unknown): number {
  return (ids as readonly string[]).length;
}

/** Customers of the sample that `ingestBefore` makes profiles for. */
export function customersFromBefore(sample: Sample): readonly Identity[] {
  return withEmail(sample)
    .slice(1)
    .filter((_, index) => index % 20 === 0)
    .map(({ id }) => customer(id));
}

/** The profiles that were there before the import: some are updated by it, one row of the file is ambiguous between two. */
export async function ingestBefore(exchange: Exchange, sample: Sample): Promise<void> {
  const [ambiguous] = withEmail(sample);
  if (ambiguous === undefined) throw new Error('the sample has no customers');
  const properties = [
    { property: 'loyalty.points', value: 1000 },
    { property: 'notes', value: ['was here before'] },
  ];
  await exchange.ingest('before', [
    { identities: [customer(ambiguous.id)] },
    { identities: [{ namespace: 'email', value: ambiguous.email }] },
    ...customersFromBefore(sample).map((identity) => ({ identities: [identity], properties })),
  ]);
}

function withEmail({ customerRows }: Sample): Sample['customerRows'] {
  return customerRows.filter(({ email }) => email !== undefined);
}

function customer(value: string): Identity {
  return { namespace: 'customerId', value };
}

/**
 * The run succeeded, and everything that can be seen of it is as in an undisturbed one: counts, store, files; beside the files
 * nothing lies in the bucket, and the stream ends with the state of each profile.
 */
export async function expectSameOutcome(exchange: Exchange, run: RunView, undisturbed: Outcome): Promise<void> {
  const { imported, exported, store, rows } = await outcomeOf(exchange, succeeded(run));
  expect({ imported, exported }).toEqual({ imported: undisturbed.imported, exported: undisturbed.exported });
  expect(differences(store, undisturbed.store)).toEqual(noDifferences);
  expect(differences(rows, undisturbed.rows)).toEqual(noDifferences);
  await expectTidyBucket(exchange, run);
  await expectCompleteStream(exchange);
}

/** The manifest names exactly the objects there are, by size and checksum, and no upload is open. */
export async function expectTidyBucket(exchange: Exchange, run: RunView): Promise<void> {
  const [manifest, ...more] = await exchange.manifests();
  expect(more).toEqual([]);
  expect(manifest?.runId).toBe(run.id);
  const files = await exchange.exported();
  const found = files.map(({ key, rows, bytes, sha256 }) => ({
    name: key.slice(exportFolder.length + 1),
    rows: rows.length,
    bytes,
    sha256,
  }));
  expect(found).toEqual(manifest?.files);
  expect(await exchange.objects(exportFolder)).toHaveLength(files.length + 1);
  expect(await exchange.millrace.bucket.listOpenUploads(exchange.bucket)).toEqual([]);
}

export async function expectCompleteStream(exchange: Exchange): Promise<void> {
  await exchange.streamIsQuiet();
  const last = [...(await exchange.streamed())].map(([id, states]) => JSON.stringify([id, canonical(states.at(-1))]));
  const due = [...(await exchange.streamable())].map(([id, state]) => JSON.stringify([id, canonical(state)]));
  expect(differences(last, due)).toEqual(noDifferences);
}

// The same members in the same order, so that texts can be compared.
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([name, member]) => [name, canonical(member)] as const);
  return Object.fromEntries(entries.sort(([left], [right]) => (left < right ? -1 : 1)));
}
