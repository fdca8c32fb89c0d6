import { randomUUID } from 'node:crypto';
import { sql } from '@millrace/database';
import { type PrivatePostgres, startPrivatePostgres, waitFor } from '@millrace/testing';
import type { Exporter } from '../src/run-export/exporter.js';
import { ExportFixture } from './export-fixture.js';

describe('PostgreSQL killed while it sends the rows of an export', () => {
  let postgres: PrivatePostgres;
  let fixture: ExportFixture;

  beforeAll(async () => {
    postgres = await startPrivatePostgres();
    fixture = await ExportFixture.create('killed_database', postgres.url);
    // More than fits into all the buffers on the way, so that the COPY is still sending.
    await fixture.addProfiles(
      Array.from({ length: 400 }, (_, index) => ({ email: `user${index}@x.test`, 'person.name': 'x'.repeat(100_000) })),
    );
  });

  afterAll(async () => {
    await fixture?.close();
    await postgres?.stop();
  });

  /** Stops where the first file is written, until told to go on. */
  const stopping = (): { readonly exporter: Exporter; readonly reached: Promise<void>; readonly goOn: () => void } => {
    let arrive: () => void = () => undefined;
    let goOn: () => void = () => undefined;
    const reached = new Promise<void>((resolve) => (arrive = resolve));
    const going = new Promise<void>((resolve) => (goOn = resolve));
    const exporter = fixture.exporter({
      openTarget: ({ endpoint }) => {
        const store = fixture.store();
        return {
          endpoint,
          store: {
            ...store,
            startUpload: async (...parameters) => {
              const upload = await store.startUpload(...parameters);
              const write: typeof upload.write = async (source) => {
                arrive();
                await going;
                return await upload.write(source);
              };
              return {
                uploadId: upload.uploadId,
                write,
                complete: async () => upload.complete(),
                abort: async () => upload.abort(),
              };
            },
          },
        };
      },
    });
    return { exporter, reached, goOn };
  };

  it.each([
    ['one file', {}, 1],
    ['files that are cut', { splitBytes: 4_000_000 }, 9],
  ])('is delivered once and complete when it is back: %s', async (_name, split, least) => {
    const { exporter, reached, goOn } = stopping();
    fixture.startWorker(exporter);
    const columns = ['email', 'person.name'].map((name) => ({
      header: name,
      source: { kind: 'property', property: name },
    }));
    const { runId } = await fixture.open(randomUUID(), fixture.goal({ columns, ...split }));
    await reached;
    await waitFor(
      async () => (await fixture.database.query(sql`SELECT FROM pg_stat_progress_copy`)).rowCount > 0,
      60_000,
      'the COPY',
    );
    await postgres.crash();
    goOn();
    await postgres.start();
    await waitFor(async () => (await fixture.database.query(sql`SELECT 1`)).rowCount === 1, 120_000, 'the recovery');
    const { outcome, counts, error } = await fixture.outcome(runId, 180_000);
    expect({ outcome, error, rows: counts.rows }).toEqual({ outcome: 'succeeded', error: undefined, rows: 400 });
    expect(new Set(await fixture.rows(counts)).size).toBe(400);
    expect(await fixture.objects()).toHaveLength(counts.files.length + 1);
    expect(await fixture.openUploads()).toEqual([]);
    expect(counts.files.length).toBeGreaterThanOrEqual(least);
    await fixture.stopWorkers();
    await fixture.emptyBucket();
  });
});
