import { parse } from 'lossless-json';
import { canonicalText } from './canonical-text.js';

const canonical = (text: string): string => canonicalText(parse(text));

describe('canonicalText', () => {
  it('is the same whatever the order of keys and the spaces', () => {
    expect(canonical('{"b": [1, {"d": null, "c": true}], "a": "x"}')).toBe('{"a":"x","b":[1,{"c":true,"d":null}]}');
  });

  it('keeps numbers as they were written', () => {
    expect(canonical('[1.10, 123456789012345678901234567890, 1e3]')).toBe('[1.10,123456789012345678901234567890,1e3]');
  });

  it('tells texts from numbers', () => {
    expect(canonical('["1"]')).not.toBe(canonical('[1]'));
  });
});
