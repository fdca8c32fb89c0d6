import { DescribeStreamSummaryCommand, ListStreamsCommand, type KinesisClient } from '@aws-sdk/client-kinesis';
import { classifyAwsFault, withRetries, type RetryPolicy } from '@millrace/aws-client';
import { InputError, reportPermissions, type PermissionFinding, type PermissionReport } from '@millrace/domain';
import { kinesisError } from './kinesis-errors.js';

/**
 * Finds the stream by describing it or, where that is not allowed, in the list of streams. Whether records may be put
 * cannot be found out without putting one, so that is reported as unverified.
 */
export async function checkKinesisStream(
  client: KinesisClient,
  retry: RetryPolicy,
  stream: string,
): Promise<PermissionReport> {
  const listing = await findInList(client, retry, stream);
  const described = await describe(client, retry, stream);
  if (described === 'not-found' || (described === 'denied' && listing === 'not-found')) throw notFound(stream);
  return reportPermissions(stream, [
    finding('kinesis:ListStreams', listing === 'denied' ? 'missing' : 'granted', true, 'listing the streams'),
    finding(
      'kinesis:DescribeStreamSummary',
      described === 'denied' ? 'missing' : 'granted',
      false,
      'describing the stream',
    ),
    finding('kinesis:PutRecord', 'unverified', true, 'none: the service has no dry run'),
    finding('kinesis:PutRecords', 'unverified', true, 'none: the service has no dry run'),
  ]);
}

function finding(
  permission: string,
  status: PermissionFinding['status'],
  required: boolean,
  probe: string,
): PermissionFinding {
  return { permission, status, required, probe };
}

async function describe(
  client: KinesisClient,
  retry: RetryPolicy,
  stream: string,
): Promise<'found' | 'not-found' | 'denied'> {
  try {
    await withRetries(async () => client.send(new DescribeStreamSummaryCommand({ StreamName: stream })), retry);
    return 'found';
  } catch (error) {
    const fault = classifyAwsFault(error);
    if (fault.kind === 'access-denied') return 'denied';
    if (fault.code === 'ResourceNotFoundException') return 'not-found';
    throw kinesisError(error, 'kinesis:DescribeStreamSummary', stream);
  }
}

async function findInList(
  client: KinesisClient,
  retry: RetryPolicy,
  stream: string,
): Promise<'found' | 'not-found' | 'denied'> {
  try {
    let after: string | undefined;
    for (;;) {
      const start = after === undefined ? {} : { ExclusiveStartStreamName: after };
      const page = await withRetries(async () => client.send(new ListStreamsCommand({ Limit: 100, ...start })), retry);
      const names = page.StreamNames ?? [];
      if (names.includes(stream)) return 'found';
      after = names.at(-1);
      if (page.HasMoreStreams !== true || after === undefined) return 'not-found';
    }
  } catch (error) {
    if (classifyAwsFault(error).kind === 'access-denied') return 'denied';
    throw kinesisError(error, 'kinesis:ListStreams', stream);
  }
}

function notFound(stream: string): InputError {
  return new InputError(
    'stream-not-found',
    `the stream "${stream}" does not exist; check its name and the connection's region and account`,
    { at: stream },
  );
}
