import { createReadStream, statSync } from 'node:fs';
import { Readable } from 'node:stream';
import type { BucketClient } from '../aws/bucket-client.js';
import type { StreamClient } from '../aws/stream-client.js';
import type { AwsCredentials, StackUrls } from '../stack.js';
import type { ApiClient } from './api-client.js';
import { exportFolder, importFolder, type Scenario } from './scenario.js';
import type { Identified } from './wire.js';

export interface Prepared {
  /** The S3 connection whose run imports and exports. */
  readonly connectionId: string;
  readonly segmentIds: ReadonlyMap<string, string>;
}

export interface Surroundings {
  readonly api: ApiClient;
  readonly bucket: BucketClient;
  readonly stream: StreamClient;
  readonly urls: StackUrls;
  readonly credentials: AwsCredentials;
}

/** Makes whatever of the scenario's workspace does not exist yet; what exists stays, with its endpoints brought up to date. */
export async function prepareWorkspace(scenario: Scenario, around: Surroundings): Promise<Prepared> {
  const { api } = around;
  const path = `/workspaces/${scenario.workspace}`;
  await api.ensure('/workspaces', { name: scenario.workspace, title: scenario.title });
  for (const property of scenario.properties) await api.ensure(`${path}/properties`, property);
  const segmentIds = new Map<string, string>();
  for (const { name, rule } of scenario.segments)
    segmentIds.set(name, await findOrMake(api, `${path}/segments`, { name, rule }));

  await around.bucket.createBucket(scenario.bucket);
  await around.stream.ensureStream(scenario.stream, 2);
  const credentials = { kind: 'access-key', ...around.credentials };
  const s3 = await connect(api, path, { kind: 's3', name: 'Sample bucket', endpoint: around.urls.s3, credentials });
  const kinesis = await connect(api, path, {
    kind: 'kinesis',
    name: 'Change stream',
    endpoint: around.urls.kinesis,
    credentials,
  });

  // The stream comes first: it then carries the import's changes as they happen.
  await findOrMake(api, `${path}/connections/${kinesis}/goals`, {
    kind: 'stream',
    name: 'Profile changes',
    streamName: scenario.stream,
    segmentIds: [...segmentIds.values()],
    properties: scenario.streamProperties,
    includeSegmentNames: true,
  });
  await findOrMake(api, `${path}/connections/${s3}/goals`, withSource(scenario));
  await findOrMake(api, `${path}/connections/${s3}/goals`, {
    kind: 'export-profiles',
    name: `Export ${scenario.exportSegment}`,
    segmentId: segmentIds.get(scenario.exportSegment),
    target: { bucket: scenario.bucket, directory: exportFolder },
    fileName: '%SEGMENT_NAME%_%DATETIME%',
    columns: scenario.exportColumns,
    compression: 'gzip',
  });
  return { connectionId: s3, segmentIds };
}

function withSource(scenario: Scenario): Readonly<Record<string, unknown>> {
  const { source, ...rest } = scenario.importGoal;
  return {
    kind: 'import-profiles',
    name: 'Import customers and orders',
    ...rest,
    source: { bucket: scenario.bucket, directory: importFolder, ...(source as object) },
  };
}

/** Puts the scenario's files into the bucket, unless they are there with the same size. */
export async function uploadFiles(scenario: Scenario, bucket: BucketClient): Promise<number> {
  const present = new Map(
    (await bucket.list(scenario.bucket, `${importFolder}/`)).map(({ key, bytes }) => [key, bytes]),
  );
  let uploaded = 0;
  for (const { file, name } of scenario.files) {
    const key = `${importFolder}/${name}`;
    const { size } = statSync(file);
    if (present.get(key) === size) continue;
    await bucket.put(scenario.bucket, key, Readable.toWeb(createReadStream(file)) as ReadableStream, size);
    uploaded += 1;
  }
  return uploaded;
}

async function findOrMake(api: ApiClient, path: string, body: Readonly<Record<string, unknown>>): Promise<string> {
  const { items } = await api.get<{ items: readonly Identified[] }>(path);
  const found = items.find(({ name }) => name === body['name']);
  return (found ?? (await api.post<Identified>(path, body))).id;
}

async function connect(api: ApiClient, path: string, body: Readonly<Record<string, unknown>>): Promise<string> {
  const { items } = await api.get<{ items: readonly (Identified & { readonly endpoint?: string })[] }>(
    `${path}/connections`,
  );
  const found = items.find(({ name }) => name === body['name']);
  if (found === undefined) return (await api.post<Identified>(`${path}/connections`, body)).id;
  // The stand-ins may have had to move to other ports.
  if (found.endpoint !== body['endpoint'])
    await api.patch(`${path}/connections/${found.id}`, { endpoint: body['endpoint'] });
  return found.id;
}
