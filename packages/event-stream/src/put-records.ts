import { PutRecordsCommand, type KinesisClient, type PutRecordsResultEntry } from '@aws-sdk/client-kinesis';
import type { StreamRecord } from './event-stream.js';

interface HttpMessage {
  body: unknown;
}

/**
 * PutRecords through the client's own credentials, signature and connections, but with a body written and read here. For records of
 * a kilobyte the client's serialisation by schema costs as much as all the rest. Undefined: the service did not say what became of them.
 */
export async function putRecordEntries(
  client: KinesisClient,
  stream: string,
  records: readonly StreamRecord[],
  abortSignal: AbortSignal,
): Promise<readonly PutRecordsResultEntry[] | undefined> {
  const command = new PutRecordsCommand({ StreamName: stream, Records: [] });
  command.middlewareStack.add(
    (next) => (args) => {
      (args.request as HttpMessage).body = requestBody(stream, records);
      return next(args);
    },
    // After the client wrote its own, before lengths and hashes are taken.
    { step: 'serialize', priority: 'low', name: 'millraceRequestBody' },
  );
  let entries: readonly PutRecordsResultEntry[] | undefined;
  command.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const response = result.response as HttpMessage & { readonly statusCode: number };
      if (response.statusCode === 200) {
        const body = await bytesOf(response.body);
        entries = entriesOf(body);
        // What cannot be read is left to the client, which knows how to say so.
        response.body = entries === undefined ? body : emptyAnswer;
      }
      return result;
    },
    // Between the connection and the client's reading.
    { step: 'deserialize', priority: 'low', name: 'millraceResponseBody' },
  );
  await client.send(command, { abortSignal });
  return entries;
}

const emptyAnswer = Buffer.from('{}');

/** https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html#API_PutRecords_RequestSyntax */
function requestBody(stream: string, records: readonly StreamRecord[]): string {
  let text = `{"StreamName":${JSON.stringify(stream)},"Records":[`;
  let separator = '';
  for (const { data, partitionKey, explicitHashKey } of records) {
    text += `${separator}{"Data":"${data.toString('base64')}","PartitionKey":${JSON.stringify(partitionKey)}`;
    text += explicitHashKey === undefined ? '}' : `,"ExplicitHashKey":${JSON.stringify(explicitHashKey)}}`;
    separator = ',';
  }
  return `${text}]}`;
}

function entriesOf(body: Buffer): readonly PutRecordsResultEntry[] | undefined {
  try {
    const answer = JSON.parse(body.toString()) as { readonly Records?: unknown } | null;
    return Array.isArray(answer?.Records) ? (answer.Records as readonly PutRecordsResultEntry[]) : undefined;
  } catch {
    return undefined;
  }
}

async function bytesOf(body: unknown): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
