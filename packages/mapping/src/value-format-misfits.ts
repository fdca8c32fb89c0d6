import { InputError, type CsvDialect } from '@millrace/domain';
import { compileDatePattern, partsInZone } from './processors/date-pattern.js';

export interface FormatMisfit {
  readonly field: 'datePattern' | 'timestampPattern' | 'timeZone' | 'trueWords' | 'list';
  readonly message: string;
}

/** What of the options that say how values are written cannot be used, whatever the file holds. */
export function valueFormatMisfits(
  dialect: Pick<
    CsvDialect,
    'datePattern' | 'timestampPattern' | 'timeZone' | 'trueWords' | 'falseWords' | 'list' | 'decimalSeparator'
  >,
): readonly FormatMisfit[] {
  const found: FormatMisfit[] = [];
  const attempt = (field: FormatMisfit['field'], use: () => unknown): void => {
    try {
      use();
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      found.push({ field, message: error.message });
    }
  };
  for (const field of ['datePattern', 'timestampPattern'] as const) {
    const pattern = dialect[field];
    if (pattern !== undefined) attempt(field, () => compileDatePattern(pattern));
  }
  attempt('timeZone', () => partsInZone(new Date(0), dialect.timeZone));
  const no = new Set(dialect.falseWords.map((word) => word.toLowerCase()));
  const both = dialect.trueWords.find((word) => no.has(word.toLowerCase()));
  if (both !== undefined)
    found.push({ field: 'trueWords', message: `${JSON.stringify(both)} stands for true and for false` });
  const { separator, open, close } = dialect.list;
  if (open.includes(separator) || close.includes(separator))
    found.push({ field: 'list', message: 'the separator must not be part of what encloses a list' });
  return found;
}
