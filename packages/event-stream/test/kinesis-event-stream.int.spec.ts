import { awsAccess, createTestStream, FaultProxy } from '@millrace/testing';
import { eventStreamContract, numbered, toArray } from '../src/event-stream.contract.js';
import type { EventStream } from '../src/event-stream.js';
import { createKinesisEventStream, type KinesisEventStreamOptions } from '../src/kinesis-event-stream.js';
import { PutFailedError } from '../src/put-failed-error.js';

const retry = { attempts: 3, firstDelayMs: 1, maxDelayMs: 5 };

function options(endpoint?: string): KinesisEventStreamOptions {
  const access = awsAccess('kinesis', endpoint);
  const { accessKeyId, secretAccessKey } = access;
  return {
    endpoint: access.endpoint,
    region: access.region,
    credentials: { kind: 'access-key', accessKeyId, secretAccessKey },
    retry,
  };
}

eventStreamContract('the Kinesis driver', async () => ({
  events: createKinesisEventStream({ ...options(), limits: { recordBytes: 65_536 } }),
  newStream: async (shards) => (await createTestStream('contract', shards)).stream,
}));

describe('the Kinesis driver, when things go wrong', () => {
  let proxy: FaultProxy;
  let events: EventStream;
  let stream: string;

  beforeAll(async () => {
    proxy = await FaultProxy.start(awsAccess('kinesis').endpoint);
    events = createKinesisEventStream(options(proxy.url));
    ({ stream } = await createTestStream('faults'));
  });
  beforeEach(() => proxy.clear());
  afterAll(async () => {
    events.close();
    await proxy.stop();
  });

  const calls = (operation: string) =>
    proxy.seen.filter((request) => request.headers['x-amz-target'] === `Kinesis_20131202.${operation}`);
  const isPut = ({ headers }: { headers: Record<string, unknown> }) =>
    headers['x-amz-target'] === 'Kinesis_20131202.PutRecords';
  const answers = (status: number, code: string) =>
    ({
      kind: 'status',
      status,
      body: JSON.stringify({ __type: code, message: 'planted' }),
      headers: { 'content-type': 'application/x-amz-json-1.1' },
    }) as const;

  it('maps a refusal of single records to these records', async () => {
    proxy.inject({
      when: isPut,
      fault: {
        kind: 'rewrite',
        body: (body) => {
          const answer = JSON.parse(body) as { FailedRecordCount: number; Records: object[] };
          answer.FailedRecordCount = 1;
          answer.Records[1] = {
            ErrorCode: 'ProvisionedThroughputExceededException',
            ErrorMessage: 'Rate exceeded for shard',
          };
          return JSON.stringify(answer);
        },
      },
    });
    expect(await events.put(stream, numbered(3), { timeoutMs: 5000 })).toMatchObject([
      { ok: true, shardId: 'shardId-000000000000' },
      { ok: false, code: 'ProvisionedThroughputExceededException', message: 'Rate exceeded for shard' },
      { ok: true },
    ]);
  });

  it('sends a put once, even when the service is busy', async () => {
    proxy.inject({ when: isPut, fault: answers(400, 'ProvisionedThroughputExceededException'), times: 9 });
    const error = await events.put(stream, numbered(1), { timeoutMs: 5000 }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(PutFailedError);
    expect(error).toMatchObject({ code: 'event-stream-unavailable', maybeAccepted: false });
    expect(calls('PutRecords').length).toBe(1);
  });

  it('says that records may have been accepted when the answer is lost', async () => {
    const { stream: own } = await createTestStream('lost');
    proxy.inject({ when: isPut, fault: { kind: 'lose-answer' } });
    const putting = events.put(own, numbered(2), { timeoutMs: 300 });
    await expect(putting).rejects.toMatchObject({
      name: 'PutFailedError',
      maybeAccepted: true,
      message: expect.stringContaining('no answer within the time allowed'),
    });
    expect((await toArray(events.readAll(own))).length).toBe(2);
  });

  it.each([
    ['a reset connection', { kind: 'reset' }],
    ['an internal failure', answers(500, 'InternalFailure')],
  ] as const)('says that records may have been accepted after %s', async (_what, fault) => {
    proxy.inject({ when: isPut, fault });
    await expect(events.put(stream, numbered(1), { timeoutMs: 5000 })).rejects.toMatchObject({ maybeAccepted: true });
  });

  it('says that nothing was accepted when no connection was made', async () => {
    const nowhere = createKinesisEventStream(options('http://127.0.0.1:9'));
    await expect(nowhere.put(stream, numbered(1), { timeoutMs: 5000 })).rejects.toMatchObject({
      name: 'PutFailedError',
      maybeAccepted: false,
    });
    nowhere.close();
  });

  it('does not begin a request whose time is over', async () => {
    await expect(events.put(stream, numbered(1), { timeoutMs: 0 })).rejects.toBeInstanceOf(PutFailedError);
    expect(calls('PutRecords').length).toBe(0);
  });

  it('tries again to describe a stream, and gives up after the attempts allowed', async () => {
    proxy.inject({ when: () => true, fault: answers(500, 'InternalFailure'), times: 2 });
    expect(await events.describe(stream)).toEqual({ shards: 1 });
    proxy.clear();
    proxy.inject({ when: () => true, fault: answers(500, 'InternalFailure'), times: 9 });
    await expect(events.describe(stream)).rejects.toMatchObject({
      name: 'TransientError',
      code: 'event-stream-unavailable',
    });
    expect(calls('DescribeStreamSummary').length).toBe(3);
  });

  it.each([
    ['UnrecognizedClientException', 'credentials-refused'],
    ['InvalidSignatureException', 'credentials-refused'],
    ['ExpiredTokenException', 'credentials-refused'],
    ['AccessDeniedException', 'access-denied'],
    ['KMSDisabledException', 'stream-key-unusable'],
    ['ValidationException', 'event-stream-refused'],
  ])('tells a person about %s', async (code, expected) => {
    proxy.inject({ when: isPut, fault: answers(400, code) });
    await expect(events.put(stream, numbered(1), { timeoutMs: 5000 })).rejects.toMatchObject({
      name: 'InputError',
      code: expected,
      message: expect.stringContaining('kinesis:PutRecords'),
    });
  });

  it('takes a page of a proxy for what it is', async () => {
    proxy.inject({
      when: isPut,
      fault: { kind: 'status', status: 200, body: '<html>Sign in</html>', headers: { 'content-type': 'text/html' } },
    });
    await expect(events.put(stream, numbered(1), { timeoutMs: 5000 })).rejects.toMatchObject({
      code: 'endpoint-not-kinesis',
    });
  });

  it('finds the stream in the list when describing is not allowed', async () => {
    const denyDescribe = {
      when: ({ headers }: { headers: Record<string, unknown> }) =>
        headers['x-amz-target'] === 'Kinesis_20131202.DescribeStreamSummary',
      fault: answers(400, 'AccessDeniedException'),
      times: 9,
    };
    proxy.inject(denyDescribe);
    expect(await events.check(stream)).toMatchObject({
      missing: [],
      findings: [
        { permission: 'kinesis:ListStreams', status: 'granted' },
        { permission: 'kinesis:DescribeStreamSummary', status: 'missing', required: false },
        { permission: 'kinesis:PutRecord', status: 'unverified' },
        { permission: 'kinesis:PutRecords', status: 'unverified' },
      ],
    });
    await expect(events.check('no-such-stream')).rejects.toMatchObject({ code: 'stream-not-found' });
  });

  it('reports a list that may not be read', async () => {
    proxy.inject({
      when: ({ headers }) => headers['x-amz-target'] === 'Kinesis_20131202.ListStreams',
      fault: answers(400, 'AccessDeniedException'),
      times: 9,
    });
    expect(await events.check(stream)).toMatchObject({ missing: ['kinesis:ListStreams'] });
  });
});
