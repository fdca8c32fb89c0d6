export interface Splitting {
  readonly delimiter: string;
  readonly quote: string | null;
  readonly escape: 'doubled' | 'backslash';
}

export interface SampleRow {
  /** Physical line of its first character, from 1, in the text that was split. */
  readonly line: number;
  readonly fields: readonly string[];
  readonly quoted: readonly boolean[];
}

export interface Sample extends Splitting {
  readonly rows: readonly SampleRow[];
}

/**
 * Splits a piece of text for a first look: forgiving, without the reader's limits and reports. A quote that never closes
 * ends with the text. Empty lines are left out.
 */
export function splitSample(text: string, splitting: Splitting, maxRows: number): Sample {
  const { delimiter, quote, escape } = splitting;
  const rows: SampleRow[] = [];
  let [at, line] = [0, 1];
  while (at < text.length && rows.length < maxRows) {
    const firstLine = line;
    const fields: string[] = [];
    const quoted: boolean[] = [];
    for (let rowEnded = false; !rowEnded;) {
      let value = '';
      const isQuoted = quote !== null && text[at] === quote;
      if (isQuoted) {
        at += 1;
        for (; at < text.length; at += 1) {
          const character = text[at]!;
          if (escape === 'backslash' && character === '\\' && (text[at + 1] === quote || text[at + 1] === '\\'))
            at += 1;
          else if (character === quote) {
            if (text[at + 1] !== quote) break;
            at += 1;
          }
          if (text[at] === '\n' || (text[at] === '\r' && text[at + 1] !== '\n')) line += 1;
          value += text[at];
        }
        at += 1;
      }
      const from = at;
      while (at < text.length && text[at] !== delimiter && text[at] !== '\n' && text[at] !== '\r') {
        at += quote === null && escape === 'backslash' && text[at] === '\\' ? 2 : 1;
      }
      fields.push(value + text.slice(from, at));
      quoted.push(isQuoted);
      if (at < text.length && text[at] === delimiter) at += 1;
      else rowEnded = true;
    }
    at += text[at] === '\r' && text[at + 1] === '\n' ? 2 : 1;
    line += 1;
    if (fields.length > 1 || fields[0] !== '') rows.push({ line: firstLine, fields, quoted });
  }
  return { ...splitting, rows };
}
