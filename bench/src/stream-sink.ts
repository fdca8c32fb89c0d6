import { createServer } from 'node:http';

// A process of its own that acknowledges every PutRecords at once, as Kinesis' JSON protocol does, and remembers when each
// change (the profile's `score`) arrived. GET /arrivals answers with [change, epoch milliseconds] pairs; DELETE forgets them.

const arrivals = new Map<number, number>();
let records = 0;
let bytes = 0;

interface PutRecords {
  readonly Records: readonly { readonly Data: string }[];
}

const changeOf = /"score":(\d+)/;

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const answer = (body: unknown): void => {
      response.setHeader('content-type', 'application/x-amz-json-1.1');
      response.end(JSON.stringify(body));
    };
    if (request.url === '/arrivals') {
      const now = { records, bytes, arrivals: request.headers['x-details'] === 'yes' ? [...arrivals] : [] };
      if (request.method === 'DELETE') {
        arrivals.clear();
        records = 0;
        bytes = 0;
      }
      return answer(now);
    }
    if (!String(request.headers['x-amz-target']).endsWith('.PutRecords')) {
      return answer({
        StreamDescriptionSummary: {
          StreamName: 'bench',
          StreamARN: 'arn:aws:kinesis:us-east-1:000000000000:stream/bench',
          StreamStatus: 'ACTIVE',
          OpenShardCount: 4,
          RetentionPeriodHours: 24,
          StreamCreationTimestamp: 0,
          EnhancedMonitoring: [],
        },
      });
    }
    const put = JSON.parse(Buffer.concat(chunks).toString()) as PutRecords;
    const arrivedAt = performance.timeOrigin + performance.now();
    for (const { Data } of put.Records) {
      const text = Buffer.from(Data, 'base64').toString();
      bytes += text.length;
      const change = Number(changeOf.exec(text)?.[1] ?? -1);
      if (!arrivals.has(change)) arrivals.set(change, arrivedAt);
    }
    records += put.Records.length;
    answer({
      FailedRecordCount: 0,
      Records: put.Records.map((_, index) => ({
        SequenceNumber: String(records + index),
        ShardId: 'shardId-000000000000',
      })),
    });
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.send?.({ port: typeof address === 'object' ? address?.port : undefined });
});
process.on('disconnect', () => process.exit());
