import { randomUUID } from 'node:crypto';
import type { Exporter } from '../src/run-export/exporter.js';
import { ExportFixture, silentEvents } from './export-fixture.js';

describe('two exporter processes', () => {
  let fixture: ExportFixture;

  beforeAll(async () => {
    fixture = await ExportFixture.create('two_processes');
    await fixture.addProfiles(
      Array.from({ length: 120 }, (_, index) => ({ email: `user${index}@x.test`, points: index })),
    );
  });

  afterAll(async () => {
    await fixture.close();
  });

  /** Calls `write` before the bytes of a file; tells which files it stored. */
  const process = (write: () => Promise<void>): { readonly exporter: Exporter; readonly stored: number[] } => {
    const stored: number[] = [];
    const exporter = fixture.exporter({
      events: { ...silentEvents, partStored: (_key, { number }) => void stored.push(number) },
      openTarget: ({ endpoint }) => {
        const store = fixture.store();
        return {
          endpoint,
          store: {
            ...store,
            startUpload: async (...parameters) => {
              const upload = await store.startUpload(...parameters);
              return {
                uploadId: upload.uploadId,
                complete: async () => upload.complete(),
                abort: async () => upload.abort(),
                write: async (source) => {
                  await write();
                  return await upload.write(source);
                },
              };
            },
          },
        };
      },
    });
    return { exporter, stored };
  };

  it('share the files of one run, each of them written once', async () => {
    let meet: () => void = () => undefined;
    const met = new Promise<void>((resolve) => (meet = resolve));
    const arrived = new Set<string>();
    // Nobody writes before both have a file.
    const arrive = (name: string) => async (): Promise<void> => {
      arrived.add(name);
      if (arrived.size === 2) meet();
      await met;
    };
    const [first, second] = [process(arrive('first')), process(arrive('second'))];
    fixture.startWorker(first.exporter);
    fixture.startWorker(second.exporter);
    const { runId } = await fixture.open(randomUUID(), fixture.goal({ splitRows: 20, fileName: 'shared' }));
    const { outcome, counts, error } = await fixture.outcome(runId, 120_000);
    expect({ outcome, error }).toEqual({ outcome: 'succeeded', error: undefined });
    expect(counts.files).toHaveLength(6);
    expect(new Set(await fixture.rows(counts)).size).toBe(120);
    expect(first.stored).not.toEqual([]);
    expect(second.stored).not.toEqual([]);
    expect([...first.stored, ...second.stored].sort()).toEqual([1, 2, 3, 4, 5, 6]);
    await fixture.stopWorkers();
    expect(await fixture.objects()).toHaveLength(7);
    expect(await fixture.openUploads()).toEqual([]);
  });
});
