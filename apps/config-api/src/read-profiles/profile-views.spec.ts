import { nestProfile } from './profile-views.js';

const shown = (properties: string): string => nestProfile(`{"id":"p","version":1,"properties":${properties}}`);

describe('nestProfile', () => {
  it('nests properties by their path', () => {
    expect(shown('{"person.name.first":"Ada","person.name.last":"L","plan":"x"}')).toBe(
      '{"id":"p","version":1,"properties":{"person":{"name":{"first":"Ada","last":"L"}},"plan":"x"}}',
    );
  });

  it('keeps every digit of numbers', () => {
    expect(shown('{"a.total":12345678901234567890.123456789012345678,"a.small":1.10}')).toContain(
      '{"a":{"total":12345678901234567890.123456789012345678,"small":1.10}}',
    );
  });

  it('keeps lists as they are', () => {
    expect(shown('{"a.tags":["x",2,true]}')).toContain('{"a":{"tags":["x",2,true]}}');
  });

  it('shows properties with the names of what every object has', () => {
    expect(shown('{"__proto__.x":1,"constructor":2,"toString.y":3}')).toContain(
      '"properties":{"__proto__":{"x":1},"constructor":2,"toString":{"y":3}}',
    );
  });
});
