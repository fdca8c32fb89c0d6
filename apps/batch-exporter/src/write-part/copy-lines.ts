const unescaped: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

/**
 * The fields of one line of COPY's text format, without its line feed; null where it says `\N`.
 * https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS
 */
export function parseCopyLine(line: string): (string | null)[] {
  const fields: (string | null)[] = line.split('\t');
  if (!line.includes('\\')) return fields;
  return fields.map((field) => {
    if (field === '\\N') return null;
    return field?.replaceAll(/\\(.)/gsu, (_, character: string) => unescaped[character] ?? character) ?? null;
  });
}

/** The lines of whole rows in COPY's text format, without their line feeds. */
export function linesOf(rows: Buffer): readonly string[] {
  const lines = rows.toString('utf8').split('\n');
  lines.pop();
  return lines;
}
