import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { decryptPgp } from '@millrace/crypto';
import { sql } from '@millrace/database';
import { waitFor } from '@millrace/testing';
import { isOver, type GoalView, type Identified, type RunView } from './api.js';
import { parseCsv } from './csv.js';
import {
  exportFolder,
  exportGoal,
  importFolder,
  importGoal,
  properties,
  segments,
  streamedProperties,
  streamGoal,
  type SegmentName,
} from './exchange-goals.js';
import type { Millrace } from './millrace.js';
import { ownKeys } from './pgp-keys.js';
import type { Sample } from './sample.js';
import { storeContents, streamableStates, type StreamedState } from './store-contents.js';

export interface ExchangeOptions {
  /** Instead of the S3 or Kinesis stand-in itself: a proxy before it. */
  readonly s3?: string;
  readonly kinesis?: string;
  readonly parts?: number;
  /** Which goals to make; default: all three. */
  readonly goals?: readonly ('import' | 'export' | 'stream')[];
}

export interface ExportedFile {
  readonly key: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface Manifest {
  readonly runId: string;
  readonly mode: string;
  readonly rows: number;
  readonly files: readonly {
    readonly name: string;
    readonly rows: number;
    readonly bytes: number;
    readonly sha256: string;
  }[];
}

const runLimitMs = 60_000;

/** A workspace with a bucket, a stream and the goals of the exchange, and what can be seen of it from outside. */
export class Exchange {
  readonly millrace: Millrace;
  readonly workspace: string;
  readonly bucket: string;
  readonly stream: string;
  readonly s3ConnectionId: string;
  readonly segmentIds: Readonly<Record<SegmentName, string>>;

  private constructor(
    millrace: Millrace,
    workspace: string,
    ids: Pick<Exchange, 's3ConnectionId' | 'segmentIds' | 'bucket' | 'stream'>,
  ) {
    this.millrace = millrace;
    this.workspace = workspace;
    this.bucket = ids.bucket;
    this.stream = ids.stream;
    this.s3ConnectionId = ids.s3ConnectionId;
    this.segmentIds = ids.segmentIds;
  }

  /** Everything ready to run, the sample uploaded. */
  static async prepare(
    millrace: Millrace,
    workspace: string,
    sample: Sample,
    options: ExchangeOptions = {},
  ): Promise<Exchange> {
    const { api, stack } = millrace;
    const goals = options.goals ?? ['import', 'export', 'stream'];
    const path = `/workspaces/${workspace}`;
    const [bucket, stream] = [`${workspace}-bucket`, `${workspace}-stream`];
    await api.post('/workspaces', { name: workspace });
    for (const property of properties) await api.post(`${path}/properties`, property);
    const segmentIds: Record<string, string> = {};
    for (const segment of segments)
      segmentIds[segment.name] = (await api.post<Identified>(`${path}/segments`, segment)).id;

    await millrace.bucket.createBucket(bucket);
    await millrace.stream.ensureStream(stream, 2);
    for (const { name, content } of sample.files) await millrace.bucket.put(bucket, `${importFolder}/${name}`, content);

    const credentials = { kind: 'access-key', ...stack.credentials };
    const { privateKey, passphrase, publicKey } = ownKeys;
    const { id: s3 } = await api.post<Identified>(`${path}/connections`, {
      kind: 's3',
      name: 'Bucket',
      endpoint: options.s3 ?? stack.urls.s3,
      credentials,
      pgp: { privateKey, passphrase, recipients: [publicKey] },
    });
    if (goals.includes('stream')) {
      const { id: kinesis } = await api.post<Identified>(`${path}/connections`, {
        kind: 'kinesis',
        name: 'Stream',
        endpoint: options.kinesis ?? stack.urls.kinesis,
        credentials,
      });
      const mapped = [segmentIds['buyers'] ?? '', segmentIds['loyal'] ?? ''];
      await api.post(`${path}/connections/${kinesis}/goals`, streamGoal(stream, mapped));
    }
    if (goals.includes('import')) await api.post(`${path}/connections/${s3}/goals`, importGoal(bucket));
    if (goals.includes('export')) {
      await api.post(
        `${path}/connections/${s3}/goals`,
        exportGoal(bucket, segmentIds['buyers'] ?? '', options.parts ?? 2),
      );
    }
    const ids = { bucket, stream, s3ConnectionId: s3, segmentIds: segmentIds as Exchange['segmentIds'] };
    return new Exchange(millrace, workspace, ids);
  }

  get path(): string {
    return `/workspaces/${this.workspace}`;
  }

  /** Applies updates through the ingestion API. */
  async ingest(batchId: string, updates: readonly object[]): Promise<readonly { readonly outcome: string }[]> {
    const path = `${this.path}/ingestion/batches`;
    return (await this.millrace.api.post<{ items: { outcome: string }[] }>(path, { batchId, updates })).items;
  }

  async start(): Promise<string> {
    return (await this.millrace.api.post<Identified>(`${this.path}/connections/${this.s3ConnectionId}/runs`)).id;
  }

  async look(runId: string): Promise<RunView> {
    return await this.millrace.api.get<RunView>(`${this.path}/runs/${runId}`);
  }

  /** The run when it is over, however it ended. */
  async end(runId: string, limitMs = runLimitMs): Promise<RunView> {
    return await waitFor(
      async () => {
        const run = await this.look(runId);
        return isOver(run) && run;
      },
      limitMs,
      `the end of run ${runId} of ${this.workspace}`,
    );
  }

  /** Runs the goals of the bucket once; throws unless all of them succeed. */
  async run(): Promise<RunView> {
    return succeeded(await this.end(await this.start()));
  }

  /** Resolves when a goal of the run shows a phase that begins like this, and `enough` of it is done. */
  async reaches(
    runId: string,
    phase: string,
    enough: (done: number, total: number) => boolean = () => true,
  ): Promise<void> {
    await waitFor(
      async () => {
        const run = await this.look(runId);
        if (isOver(run)) throw new Error(`the run has ${run.state} already`);
        return run.goals.some(
          ({ state, progress }) =>
            state === 'running' &&
            progress?.phase.startsWith(phase) === true &&
            enough(progress.done, progress.total ?? Infinity),
        );
      },
      90_000,
      `run ${runId} to be ${phase}`,
    );
  }

  async store(): Promise<readonly string[]> {
    return await storeContents(this.millrace.database, this.workspace);
  }

  async objects(folder: string): Promise<readonly string[]> {
    return (await this.millrace.bucket.list(this.bucket, `${folder}/`)).map(({ key }) => key.slice(folder.length + 1));
  }

  async manifests(): Promise<readonly Manifest[]> {
    const names = (await this.objects(exportFolder)).filter((name) => name.endsWith('.json'));
    const read = async (name: string): Promise<Manifest> =>
      JSON.parse((await this.millrace.bucket.get(this.bucket, `${exportFolder}/${name}`)).toString()) as Manifest;
    return await Promise.all(names.map(read));
  }

  /** What lies in the export folder beside manifests: checked for its signature, decrypted, unpacked and read. */
  async exported(): Promise<readonly ExportedFile[]> {
    const files: ExportedFile[] = [];
    for (const name of (await this.objects(exportFolder)).filter((each) => !each.endsWith('.json'))) {
      const content = await this.millrace.bucket.get(this.bucket, `${exportFolder}/${name}`);
      const { privateKey, passphrase, publicKey } = ownKeys;
      const options = { privateKey, passphrase, verifiers: [publicKey], requireSignature: true, maxOutputBytes: 1e9 };
      const [header = [], ...rows] = parseCsv(
        gunzipSync(await buffer(decryptPgp(Readable.from([content]), options))).toString(),
      );
      const sha256 = createHash('sha256').update(content).digest('hex');
      files.push({ key: `${exportFolder}/${name}`, bytes: content.length, sha256, header, rows });
    }
    return files;
  }

  /** Resolves when every change is on the stream, or throws saying what is left. */
  async streamIsQuiet(limitMs = 90_000): Promise<void> {
    await waitFor(
      async () => {
        const { rows } = await this.millrace.database.query<{ waiting: number }>(sql`
          SELECT ((SELECT count(*) FROM profile.outbox o WHERE o.workspace_id = w.id)
            + (SELECT count(*) FROM publisher.delivery d JOIN publisher.goal g ON g.goal_id = d.goal_id WHERE g.workspace_id = w.id)
            + (SELECT count(*) FROM publisher.backfill b JOIN publisher.goal g ON g.goal_id = b.goal_id
                WHERE g.workspace_id = w.id AND b.state = 'running')
            + (SELECT count(*) FROM work.command c WHERE c.handled_at IS NULL))::int AS waiting
          FROM profile.workspace w WHERE w.name = ${this.workspace}`);
        return rows[0]?.waiting === 0;
      },
      limitMs,
      `the stream of ${this.workspace} to be complete`,
    );
  }

  /** By profile, what the records on the stream say, oldest first. */
  async streamed(): Promise<ReadonlyMap<string, readonly StreamedState[]>> {
    const found = new Map<string, StreamedState[]>();
    for await (const { partitionKey, data } of this.millrace.stream.readAll(this.stream)) {
      const states = found.get(partitionKey) ?? [];
      found.set(partitionKey, [...states, stateOf(JSON.parse(data.toString()) as StreamRecord)]);
    }
    return found;
  }

  /** What the last record of each profile should say: the profiles in a mapped segment as they are in the store now. */
  async streamable(): Promise<ReadonlyMap<string, StreamedState>> {
    const states = await streamableStates(this.millrace.database, this.workspace, streamedProperties);
    return new Map(
      [...states].filter(([, { segments: all }]) => all['buyers'] === 'realized' || all['loyal'] === 'realized'),
    );
  }
}

/** A run that is expected to have succeeded; its errors otherwise. */
export function succeeded(run: RunView): RunView {
  if (run.state === 'succeeded') return run;
  const reasons = run.goals.map(
    ({ kind, state, error }) => `${kind} ${state}: ${error?.code ?? ''} ${error?.message ?? ''}`,
  );
  throw new Error(`the run has ${run.state}: ${reasons.join('; ')}`);
}

export function goalOf(run: RunView, kind: GoalView['kind']): GoalView {
  const goal = run.goals.find((each) => each.kind === kind);
  if (goal === undefined) throw new Error(`the run has no goal of kind ${kind}`);
  return goal;
}

interface StreamRecord {
  readonly segmentMembership: {
    readonly ups: Readonly<
      Record<string, { readonly name: string; readonly status: string; readonly lastQualificationTime: string }>
    >;
  };
  readonly identityMap: Readonly<Record<string, readonly { readonly id: string }[]>>;
}

function stateOf({ segmentMembership, identityMap, ...attributes }: StreamRecord): StreamedState {
  const memberships = Object.values(segmentMembership.ups);
  for (const { lastQualificationTime: time } of memberships) {
    if (new Date(time).toISOString() !== time) throw new Error(`${time} is no time in UTC with milliseconds`);
  }
  const values = (ids: readonly { readonly id: string }[]): string[] => ids.map(({ id }) => id).sort();
  return {
    attributes,
    segments: Object.fromEntries(memberships.map(({ name, status }) => [name, status])),
    identities: Object.fromEntries(Object.entries(identityMap).map(([code, ids]) => [code, values(ids)])),
  };
}
