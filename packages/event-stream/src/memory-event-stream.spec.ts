import { eventStreamContract, numbered, toArray } from './event-stream.contract.js';
import { createMemoryEventStream } from './memory-event-stream.js';

eventStreamContract('the memory driver', async () => {
  const shardCounts = [1, 2, 3, 4];
  // Streams are fixed when it is made: enough of each size for the suite.
  const names = shardCounts.flatMap((shards) =>
    Array.from({ length: 10 }, (_, index) => [`s${shards}-${index}`, shards] as const),
  );
  const free = [...names];
  return {
    events: createMemoryEventStream({ streams: Object.fromEntries(names), limits: { recordBytes: 65_536 } }),
    newStream: async (shards) => {
      const index = free.findIndex(([, count]) => count === shards);
      const [found] = free.splice(index, 1);
      return found?.[0] ?? '';
    },
  };
});

describe('the memory driver', () => {
  it('refuses the records it is told to, and keeps the others', async () => {
    const events = createMemoryEventStream({
      streams: { s: 1 },
      refuse: ({ partitionKey }) =>
        partitionKey === 'key-1' ? { code: 'ProvisionedThroughputExceededException', message: 'slow down' } : undefined,
    });
    const results = await events.put('s', numbered(3), { timeoutMs: 1000 });
    expect(results).toMatchObject([
      { ok: true },
      { ok: false, code: 'ProvisionedThroughputExceededException' },
      { ok: true },
    ]);
    expect((await toArray(events.readAll('s'))).map((record) => record.partitionKey)).toEqual(['key-0', 'key-2']);
  });
});
