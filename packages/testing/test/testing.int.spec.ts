import pg from 'pg';
import {
  assertTestDatabase,
  awsAccess,
  createTestBucket,
  createTestDatabase,
  createTestStream,
  dropTestDatabase,
  FaultProxy,
  testRedisUrl,
  waitFor,
} from '@millrace/testing';
import { askRedis, BucketClient } from '@millrace/dev-stack';

async function ask(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

class CreateThing1 {}
const sets = [{ schema: 'thing', migrations: [CreateThing1] }];

describe('createTestDatabase', () => {
  it('migrates once and hands out independent copies', async () => {
    let migrations = 0;
    const migrate = async (url: string): Promise<void> => {
      migrations += 1;
      await ask(url, 'CREATE TABLE thing (id integer)');
    };
    const [first, second] = await Promise.all([
      createTestDatabase('one', { migrate, sets }),
      createTestDatabase('two', { migrate, sets }),
    ]);
    await ask(first.url, 'INSERT INTO thing VALUES (1)');
    expect(await ask(second.url, 'SELECT * FROM thing')).toEqual([]);
    expect(migrations).toBe(1);
    await first.drop();
    await second.drop();
    await expect(ask(first.url, 'SELECT 1')).rejects.toThrow(/does not exist/);
  });

  it('refuses to drop a database whose name does not say test', async () => {
    await expect(dropTestDatabase('postgres://user@localhost/millrace')).rejects.toThrow(/refused: "millrace"/);
    expect(() => assertTestDatabase('postgres://localhost/contest')).toThrow(/refused/);
    expect(assertTestDatabase('postgres://localhost/test_x')).toBe('test_x');
  });
});

describe('testRedisUrl', () => {
  it('hands out another database each time', async () => {
    const [first, second] = [await testRedisUrl(), await testRedisUrl()];
    expect(first).not.toBe(second);
    expect(await askRedis(Number(new URL(first).port), 'PING')).toBe('+PONG');
  });
});

describe('createTestStream', () => {
  it('makes a stream that starts empty', async () => {
    const { stream, client } = await createTestStream('fresh', 2);
    const records = [];
    for await (const record of client.readAll(stream)) records.push(record);
    expect(records).toEqual([]);
  });
});

describe('waitFor', () => {
  it('resolves with what the condition gives and rejects with its last error', async () => {
    let calls = 0;
    expect(await waitFor(() => (++calls === 3 ? 'there' : undefined))).toBe('there');
    const failing = waitFor(() => Promise.reject(new Error('no')), 20, 'a miracle');
    await expect(failing).rejects.toThrow('in vain for a miracle');
  });
});

describe('FaultProxy', () => {
  let proxy: FaultProxy;
  let bucket: string;
  let direct: BucketClient;
  let through: BucketClient;

  beforeAll(async () => {
    ({ bucket, client: direct } = await createTestBucket('proxy'));
    const access = awsAccess('s3');
    proxy = await FaultProxy.start(access.endpoint);
    through = new BucketClient({ ...access, endpoint: proxy.url });
  });
  afterEach(() => {
    proxy.clear();
  });
  afterAll(async () => {
    await proxy.stop();
  });

  it('passes requests through unchanged without a rule', async () => {
    await through.put(bucket, 'a folder/ä&b.txt', 'content');
    expect((await through.get(bucket, 'a folder/ä&b.txt')).toString()).toBe('content');
    expect(await direct.list(bucket)).toEqual([{ key: 'a folder/ä&b.txt', bytes: 7 }]);
    expect(proxy.seen.map(({ method }) => method)).toEqual(['PUT', 'GET']);
  });

  it('answers with a status as often as told, after as many as told', async () => {
    proxy.inject({
      when: ({ method }) => method === 'PUT',
      fault: { kind: 'status', status: 503, body: '<Code>SlowDown</Code>' },
      skip: 1,
      times: 2,
    });
    await through.put(bucket, 'x', '1');
    await expect(through.put(bucket, 'x', '2')).rejects.toThrow('SlowDown');
    await expect(through.put(bucket, 'x', '3')).rejects.toThrow('SlowDown');
    await through.put(bucket, 'x', '4');
    expect((await direct.get(bucket, 'x')).toString()).toBe('4');
  });

  it('resets the connection before the server sees the request', async () => {
    proxy.inject({ when: () => true, fault: { kind: 'reset' } });
    await expect(through.put(bucket, 'never', '1')).rejects.toThrow();
    expect(await direct.exists(bucket, 'never')).toBe(false);
  });

  it('carries a request out and loses the answer', async () => {
    proxy.inject({ when: () => true, fault: { kind: 'lose-answer' } });
    const answer = await Promise.race([
      through.put(bucket, 'kept', '1').then(() => 'answered'),
      waitFor(async () => direct.exists(bucket, 'kept')),
    ]);
    expect(answer).toBe(true);
  });

  it('cuts an answer after so many bytes', async () => {
    await direct.put(bucket, 'long', Buffer.alloc(100_000, 'x'));
    proxy.inject({ when: () => true, fault: { kind: 'truncate', afterBytes: 1000 } });
    await expect(through.get(bucket, 'long')).rejects.toThrow();
  });

  it('rewrites an answer', async () => {
    proxy.inject({ when: () => true, fault: { kind: 'rewrite', body: (body) => body.toUpperCase() } });
    await direct.put(bucket, 'shout', 'quiet');
    expect((await through.get(bucket, 'shout')).toString()).toBe('QUIET');
  });
});
