/** A piece of SQL and its values, built by `sql`; values travel as parameters, identifiers are quoted. */
export class Sql {
  constructor(
    readonly strings: readonly string[],
    readonly values: readonly unknown[],
  ) {}

  /** `text` with `$1..$n` and the values in order, as `pg` takes them. */
  toQuery(): { text: string; values: unknown[] } {
    const values: unknown[] = [];
    const text = render(this, values);
    return { text, values };
  }
}

class Identifier {
  constructor(readonly quoted: string) {}
}

class RawText {
  constructor(readonly text: string) {}
}

function render(fragment: Sql, values: unknown[]): string {
  let text = fragment.strings[0] ?? '';
  fragment.values.forEach((value, index) => {
    if (value instanceof Sql) text += render(value, values);
    else if (value instanceof Identifier) text += value.quoted;
    else if (value instanceof RawText) text += value.text;
    else text += `$${values.push(value)}`;
    text += fragment.strings[index + 1] ?? '';
  });
  return text;
}

/** Tagged template: `sql\`SELECT ${value} FROM ${sql.id('profile', 'profile')}\``. Nested fragments are spliced. */
export function sql(strings: TemplateStringsArray, ...values: readonly unknown[]): Sql {
  return new Sql(strings, values);
}

/** A quoted, possibly qualified identifier. PostgreSQL cuts names at 63 bytes, so longer ones are refused. */
sql.id = (...names: readonly string[]): Identifier => {
  for (const name of names) {
    if (name.includes('\0') || Buffer.byteLength(name) > 63)
      throw new RangeError(`not a PostgreSQL identifier: ${name.slice(0, 80)}`);
  }
  return new Identifier(names.map((name) => `"${name.replaceAll('"', '""')}"`).join('.'));
};

/** A quoted string literal, for statements that take no parameters (COPY, DDL). */
sql.literal = (text: string): RawText => {
  if (text.includes('\0')) throw new RangeError('a PostgreSQL string cannot hold a NUL character');
  const quoted = `'${text.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`;
  return new RawText(text.includes('\\') ? ` E${quoted}` : quoted);
};

/** An integer written into the text, for statements that take no parameters. */
sql.integer = (value: number | bigint): RawText => {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) throw new RangeError(`not an integer: ${value}`);
  return new RawText(value < 0 ? `(${value})` : String(value));
};

sql.join = (fragments: readonly (Sql | Identifier | RawText)[], separator = ', '): Sql =>
  fragments.length === 0
    ? new Sql([''], [])
    : new Sql(['', ...Array.from({ length: fragments.length - 1 }, () => separator), ''], fragments);

sql.empty = new Sql([''], []);
