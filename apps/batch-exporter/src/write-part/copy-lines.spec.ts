import { linesOf, parseCopyLine } from './copy-lines.js';

describe('parseCopyLine', () => {
  it('tells no value from empty and from the letters that mean none', () => {
    expect(parseCopyLine('\\N\t\t\\\\N\tN')).toEqual([null, '', '\\N', 'N']);
  });

  it('undoes every escape the server writes', () => {
    expect(parseCopyLine('a\\tb\\nc\\rd\\\\e\\bf\\fg\\vh')).toEqual(['a\tb\nc\rd\\e\bf\fg\vh']);
  });
});

describe('linesOf', () => {
  it('gives each row, an empty one too', () => {
    expect(linesOf(Buffer.from('Malmö\t1\nGöteborg\t\\N\n\n'))).toEqual(['Malmö\t1', 'Göteborg\t\\N', '']);
    expect(linesOf(Buffer.alloc(0))).toEqual([]);
  });
});
