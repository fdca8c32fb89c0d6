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
 * Splits a piece of text for a first look: forgiving, without the reader's limits and reports. A quote that does not close
 * in front of a delimiter or line break is text. Empty lines are left out.
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
      const isQuoted: boolean = quote !== null && text[at] === quote;
      const whole = isQuoted ? quotedField(text, at, splitting) : undefined;
      if (whole !== undefined) {
        value = whole.value;
        line += whole.lineBreaks;
        at = whole.end;
      }
      const from = at;
      while (at < text.length && text[at] !== delimiter && text[at] !== '\n' && text[at] !== '\r') {
        at += quote === null && escape === 'backslash' && text[at] === '\\' ? 2 : 1;
      }
      fields.push(value + text.slice(from, at));
      quoted.push(whole !== undefined);
      if (at < text.length && text[at] === delimiter) at += 1;
      else rowEnded = true;
    }
    at += text[at] === '\r' && text[at + 1] === '\n' ? 2 : 1;
    line += 1;
    if (fields.length > 1 || fields[0] !== '') rows.push({ line: firstLine, fields, quoted });
  }
  return { ...splitting, rows };
}

// Bounds the look at a quote that never closes, and so the whole at so many characters per field.
const maxQuoted = 4096;

function quotedField(
  text: string,
  from: number,
  { delimiter, quote, escape }: Splitting,
): { readonly value: string; readonly lineBreaks: number; readonly end: number } | undefined {
  let [value, lineBreaks] = ['', 0];
  const last = Math.min(text.length, from + maxQuoted);
  for (let at = from + 1; at < last; at += 1) {
    if (escape === 'backslash' && text[at] === '\\' && (text[at + 1] === quote || text[at + 1] === '\\')) at += 1;
    else if (text[at] === quote && text[at + 1] === quote) at += 1;
    else if (text[at] === quote) {
      const next = text[at + 1];
      const closes = next === undefined || next === delimiter || next === '\n' || next === '\r';
      return closes ? { value, lineBreaks, end: at + 1 } : undefined;
    }
    if (text[at] === '\n' || (text[at] === '\r' && text[at + 1] !== '\n')) lineBreaks += 1;
    value += text[at];
  }
  return undefined;
}
