import { encodeCopyText } from './copy-text.js';

describe('encodeCopyText', () => {
  it('separates values by tabs and ends the line', () => {
    expect(encodeCopyText(['1', 'two', '3'])).toBe('1\ttwo\t3\n');
  });

  it('tells NULL from an empty string', () => {
    expect(encodeCopyText([null, '', undefined])).toBe('\\N\t\t\\N\n');
  });

  it('escapes backslash, tab, line feed and carriage return', () => {
    expect(encodeCopyText(['a\\b\tc\nd\re'])).toBe('a\\\\b\\tc\\nd\\re\n');
  });

  it('keeps a value that reads like NULL or like the end of the data apart from them', () => {
    expect(encodeCopyText(['\\N', '\\.'])).toBe('\\\\N\t\\\\.\n');
  });

  it('escapes only the backslashes of JSON text', () => {
    expect(encodeCopyText([JSON.stringify({ a: 'x"y\n' })])).toBe('{"a":"x\\\\"y\\\\n"}\n');
  });

  it('makes a line of one NULL for one missing value', () => {
    expect(encodeCopyText([null])).toBe('\\N\n');
  });
});
