import { Readable } from 'node:stream';
import { Coalesce } from './coalesce.js';

describe('Coalesce', () => {
  it('keeps every byte in order and hands out few large pieces', async () => {
    const chunks = Array.from({ length: 1000 }, (_, index) => Buffer.alloc(1000, index % 251));
    const pieces: Buffer[] = [];
    for await (const piece of Readable.from(chunks).pipe(new Coalesce(Buffer.from('head'))))
      pieces.push(piece as Buffer);
    expect(Buffer.concat(pieces)).toEqual(Buffer.concat([Buffer.from('head'), ...chunks]));
    expect(pieces.length).toBeLessThan(10);
  });

  it('hands out the head alone when nothing follows', async () => {
    const pieces: Buffer[] = [];
    for await (const piece of Readable.from([]).pipe(new Coalesce(Buffer.from('head')))) pieces.push(piece as Buffer);
    expect(Buffer.concat(pieces).toString()).toBe('head');
  });
});
