import type { CsvDialect } from '@millrace/domain';

export type FieldValue =
  | { readonly kind: 'absent' | 'empty' | 'empty-quoted' | 'null-word' }
  | { readonly kind: 'text'; readonly text: string };

const absent: FieldValue = { kind: 'absent' };
const empty: FieldValue = { kind: 'empty' };
const emptyQuoted: FieldValue = { kind: 'empty-quoted' };
const nullWord: FieldValue = { kind: 'null-word' };

/**
 * What a field says. `absent`: the row ended before it. `empty`: nothing between two delimiters. `empty-quoted`: `""`.
 * `null-word`: one of the dialect's words for no value, outside quotes.
 *
 * @param wasQuoted `row.quoted?.[index] === 1`
 */
export function interpretField(text: string | undefined, wasQuoted: boolean, dialect: CsvDialect): FieldValue {
  const kind = fieldKind(text, wasQuoted, dialect.nullWords);
  switch (kind) {
    case 'absent':
      return absent;
    case 'empty':
      return empty;
    case 'empty-quoted':
      return emptyQuoted;
    case 'null-word':
      return nullWord;
    case 'text':
      return { kind, text: text as string };
  }
}

/** As `interpretField`, without an object per field, for loops over millions of them. */
export function fieldKind(
  text: string | undefined,
  wasQuoted: boolean,
  nullWords: readonly string[],
): FieldValue['kind'] {
  if (text === undefined) return 'absent';
  if (wasQuoted) return text === '' ? 'empty-quoted' : 'text';
  if (nullWords.length > 0 && nullWords.includes(text)) return 'null-word';
  return text === '' ? 'empty' : 'text';
}
