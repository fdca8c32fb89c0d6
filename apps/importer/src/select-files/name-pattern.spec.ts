import { compileNamePattern } from './name-pattern.js';

const wildcard = (pattern: string) => compileNamePattern({ kind: 'wildcard', pattern }, 'source.pattern');
const regex = (pattern: string) => compileNamePattern({ kind: 'regex', pattern }, 'source.pattern');

describe('compileNamePattern', () => {
  it('matches an exact name only', () => {
    const pattern = compileNamePattern({ kind: 'exact', name: 'a.csv' }, 'source.pattern');
    expect(pattern.match('a.csv')).toEqual([]);
    expect(pattern.match('a.csv.gz')).toBeUndefined();
  });

  it('says what a wildcard stood for', () => {
    expect(wildcard('p_20*.csv').match('p_20244.csv')).toEqual(['244']);
    expect(wildcard('p_20*.csv').match('p_19999.csv')).toBeUndefined();
  });

  it('lets a question mark stand for exactly one character', () => {
    expect(wildcard('p_?.csv').match('p_1.csv')).toEqual(['1']);
    expect(wildcard('p_?.csv').match('p_12.csv')).toBeUndefined();
  });

  it('takes every other character of a wildcard literally', () => {
    expect(wildcard('a.(1)+[x]$*').match('a.(1)+[x]$!')).toEqual(['!']);
    expect(wildcard('a.csv').match('aXcsv')).toBeUndefined();
  });

  it('finds the name that has the same variable parts', () => {
    expect(wildcard('orders_20*_?.csv').nameFor(['244', 'x'])).toBe('orders_20244_x.csv');
    expect(wildcard('orders_*.csv').nameFor([])).toBeUndefined();
  });

  it('matches a regular expression against the whole name', () => {
    expect(regex('p_(\\d+)\\.csv').match('p_20.csv')).toEqual(['20']);
    expect(regex('p_(\\d+)\\.csv').match('xp_20.csv')).toBeUndefined();
  });

  it('refuses a regular expression that does not compile, naming the field', () => {
    expect(() => regex('p_(')).toThrow(/source\.pattern: the regular expression cannot be used/);
  });

  it('matches a pattern that explodes in a backtracking engine at once', () => {
    const started = performance.now();
    expect(regex('(a+)+b').match('a'.repeat(5000))).toBeUndefined();
    expect(performance.now() - started).toBeLessThan(2000);
  });
});
