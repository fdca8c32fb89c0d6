import { sql } from './sql.js';

describe('sql', () => {
  it('sends values as numbered parameters, nested fragments included', () => {
    const inner = sql`a = ${1}`;
    expect(sql`SELECT * FROM t WHERE ${inner} AND b = ${'x'}`.toQuery()).toEqual({
      text: 'SELECT * FROM t WHERE a = $1 AND b = $2',
      values: [1, 'x'],
    });
  });

  it('quotes hostile identifiers', () => {
    expect(sql`SELECT ${sql.id('s', 'a"; DROP TABLE x; --')}`.toQuery().text).toBe(
      'SELECT "s"."a""; DROP TABLE x; --"',
    );
  });

  it('refuses identifiers PostgreSQL would cut', () => {
    expect(() => sql.id('x'.repeat(64))).toThrow(RangeError);
  });

  it('quotes literals with apostrophes and backslashes', () => {
    expect(sql`${sql.literal("it's")} ${sql.literal('a\\b')}`.toQuery()).toEqual({
      text: "'it''s'  E'a\\\\b'",
      values: [],
    });
  });

  it('joins fragments with a separator', () => {
    expect(sql`(${sql.join([sql`${1}`, sql`${2}`])})`.toQuery()).toEqual({ text: '($1, $2)', values: [1, 2] });
    expect(sql`(${sql.join([])})`.toQuery().text).toBe('()');
  });
});
