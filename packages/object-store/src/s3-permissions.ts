import { randomUUID } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetBucketLocationCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
} from '@aws-sdk/client-s3';
import { classifyAwsFault, withRetries } from '@millrace/aws-client';
import {
  InputError,
  TransientError,
  reportPermissions,
  type PermissionFinding,
  type PermissionReport,
} from '@millrace/domain';
import type { PermissionNeeds } from './object-store.js';
import { isUnknownOperation } from './s3-abort.js';
import { s3Error } from './s3-errors.js';
import type { S3Session } from './s3-session.js';

/** Without ListBucket, S3 answers 403 for an object that does not exist, whether it may be read or not. */
function judged(finding: PermissionFinding, all: readonly PermissionFinding[]): PermissionFinding {
  const listing = all.find((other) => other.permission === 's3:ListBucket');
  if (finding.permission !== 's3:GetObject' || finding.status !== 'missing' || listing?.status !== 'missing')
    return finding;
  return { ...finding, status: 'unverified', detail: 'cannot be told without s3:ListBucket' };
}

interface Probe {
  readonly permission: string;
  readonly required: boolean;
  readonly probe: string;
  readonly request: () => Promise<unknown>;
}

/**
 * Tries each permission with a request that changes nothing: reads and deletes a key nobody has, and opens an upload
 * that is never completed. An export can do without GetObject, but then cannot recognise a completion whose answer was
 * lost where objects are encrypted with a KMS key. Wrong credentials and a missing bucket are thrown; a refusal is a finding.
 */
export async function checkS3Permissions(
  session: S3Session,
  bucket: string,
  needs: PermissionNeeds,
  prefix: string,
): Promise<PermissionReport> {
  const key = `${prefix}.millrace-permission-check-${randomUUID()}`;
  const probes =
    needs === 'import' ? importProbes(session, bucket, prefix, key) : exportProbes(session, bucket, prefix, key);
  const findings: PermissionFinding[] = [];
  for (const probe of probes) findings.push(await runProbe(session, bucket, probe));
  if (needs === 'export') findings.push(...(await probeUpload(session, bucket, key)));
  else findings.push(unverified(putForDoneMark, 'to try it would take permissions that an import does not need'));
  return reportPermissions(
    bucket,
    findings.map((finding) => judged(finding, findings)),
  );
}

function importProbes({ client }: S3Session, bucket: string, prefix: string, key: string): Probe[] {
  return [
    listProbe(client, bucket, prefix),
    {
      permission: 's3:GetObject',
      required: true,
      probe: 'reading the first byte of an object, or one that does not exist',
      request: async () => readFirstByte(client, bucket, prefix, key),
    },
    deleteProbe(client, bucket, key, false),
  ];
}

/** Of a real object where one can be found: that tries the encryption key's permissions too. */
async function readFirstByte(client: Client, bucket: string, prefix: string, otherwise: string): Promise<void> {
  const page = await client
    .send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, MaxKeys: 1 }))
    .catch(() => undefined);
  const found = page?.Contents?.[0];
  const answer = await client.send(
    new GetObjectCommand({
      Bucket: bucket,
      Key: found?.Key ?? otherwise,
      ...((found?.Size ?? 0) > 0 ? { Range: 'bytes=0-0' } : {}),
    }),
  );
  await answer.Body?.transformToByteArray();
}

function exportProbes({ client }: S3Session, bucket: string, prefix: string, key: string): Probe[] {
  return [
    listProbe(client, bucket, prefix),
    {
      permission: 's3:GetBucketLocation',
      required: true,
      probe: "asking for the bucket's region",
      request: async () => client.send(new GetBucketLocationCommand({ Bucket: bucket })),
    },
    {
      permission: 's3:ListBucketMultipartUploads',
      required: true,
      probe: 'listing open uploads',
      request: async () =>
        client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix, MaxUploads: 1 })),
    },
    deleteProbe(client, bucket, key, true),
    {
      permission: 's3:GetObject',
      required: false,
      probe: 'looking at an object that does not exist',
      request: async () => client.send(new HeadObjectCommand({ Bucket: bucket, Key: key })),
    },
  ];
}

type Client = S3Session['client'];

function listProbe(client: Client, bucket: string, prefix: string): Probe {
  return {
    permission: 's3:ListBucket',
    required: true,
    probe: 'listing one object',
    request: async () => client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, MaxKeys: 1 })),
  };
}

function deleteProbe(client: Client, bucket: string, key: string, required: boolean): Probe {
  return {
    permission: 's3:DeleteObject',
    required,
    probe: 'deleting an object that does not exist',
    request: async () => client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key })),
  };
}

/** Opening an upload needs PutObject; what it needs beside that is tried on it before it is removed. */
async function probeUpload(session: S3Session, bucket: string, key: string): Promise<PermissionFinding[]> {
  const { client } = session;
  let uploadId: string | undefined;
  const put = await runProbe(session, bucket, {
    permission: 's3:PutObject',
    required: true,
    probe: 'opening an upload that is not completed',
    request: async () => {
      uploadId = (await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: key }))).UploadId;
    },
  });
  const onUpload = { Bucket: bucket, Key: key, UploadId: uploadId };
  const rest: Probe[] = [
    {
      permission: 's3:ListMultipartUploadParts',
      required: true,
      probe: 'listing the parts of that upload',
      request: async () => client.send(new ListPartsCommand(onUpload)),
    },
    {
      permission: 's3:AbortMultipartUpload',
      required: true,
      probe: 'aborting that upload',
      request: async () => client.send(new AbortMultipartUploadCommand(onUpload)),
    },
  ];
  const findings = [put];
  for (const probe of rest) {
    if (uploadId === undefined) findings.push(unverified(probe, 'no upload could be opened to try it on'));
    else findings.push(await runProbe(session, bucket, probe));
  }
  const abort = findings.at(-1);
  if (uploadId === undefined || abort?.status !== 'missing') return findings;
  return [
    ...findings.slice(0, -1),
    { ...abort, detail: `the upload opened for the check is still there: ${key}, upload id ${uploadId}` },
  ];
}

async function runProbe(session: S3Session, bucket: string, probe: Probe): Promise<PermissionFinding> {
  const { permission, required } = probe;
  try {
    await withRetries(probe.request, session.retry);
  } catch (error) {
    const fault = classifyAwsFault(error);
    if (fault.kind === 'access-denied')
      return { permission, required, probe: probe.probe, status: 'missing', detail: fault.code };
    if (isUnknownOperation(fault)) return unverified(probe, 'the service does not know this operation');
    // The probe asked for what does not exist, and was allowed to find that out.
    if (!['NoSuchKey', 'NoSuchUpload', 'NotFound'].includes(fault.code)) throw reworded(error, permission, bucket);
  }
  return { permission, required, probe: probe.probe, status: 'granted' };
}

const putForDoneMark = { permission: 's3:PutObject', required: false, probe: 'none' };

function unverified({ permission, required, probe }: Omit<Probe, 'request'>, detail: string): PermissionFinding {
  return { permission, required, probe, status: 'unverified', detail };
}

function reworded(error: unknown, action: string, bucket: string): Error {
  const worded = s3Error(error, { action, bucket });
  return worded instanceof InputError || worded instanceof TransientError
    ? worded
    : new Error(`${action} on ${bucket} failed`, { cause: error });
}
