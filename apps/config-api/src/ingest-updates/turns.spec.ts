import { Turns } from './turns.js';

interface Piece {
  readonly begun: string[];
  readonly end: (name: string, error?: Error) => void;
  readonly take: (name: string) => Promise<string>;
}

function pieces(turns: Turns): Piece {
  const begun: string[] = [];
  const open = new Map<string, (error?: Error) => void>();
  return {
    begun,
    end: (name, error) => open.get(name)?.(error),
    take: (name) =>
      turns.take(async () => {
        begun.push(name);
        await new Promise<void>((resolve, reject) =>
          open.set(name, (error) => (error === undefined ? resolve() : reject(error))),
        );
        return name;
      }),
  };
}

describe('turns', () => {
  it('are so many at once, then in the order they were asked for', async () => {
    const { begun, end, take } = pieces(new Turns({ atOnce: 2, mayWait: 10 }));
    const all = ['a', 'b', 'c', 'd'].map(take);
    expect(begun).toEqual(['a', 'b']);
    end('b');
    await all[1];
    expect(begun).toEqual(['a', 'b', 'c']);
    end('a');
    await all[0];
    expect(begun).toEqual(['a', 'b', 'c', 'd']);
    end('c');
    end('d');
    expect(await Promise.all(all)).toEqual(['a', 'b', 'c', 'd']);
    const later = take('e');
    expect(begun.at(-1)).toBe('e');
    end('e');
    await later;
  });

  it('pass on when one fails', async () => {
    const { begun, end, take } = pieces(new Turns({ atOnce: 1, mayWait: 10 }));
    const [first, second] = [take('a'), take('b')];
    end('a', new Error('broken'));
    await expect(first).rejects.toThrow('broken');
    expect(begun).toEqual(['a', 'b']);
    end('b');
    await second;
  });

  it('are refused when too many wait', async () => {
    const { end, take } = pieces(new Turns({ atOnce: 1, mayWait: 1 }));
    const [first, second] = [take('a'), take('b')];
    await expect(take('c')).rejects.toMatchObject({ code: 'ingestion-busy' });
    end('a');
    await first;
    end('b');
    await second;
  });
});
