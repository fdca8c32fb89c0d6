/** Why a row is rejected while it is read; shown to the person who sent the file. */
export type BadRowCode =
  | 'too-long'
  | 'stray-quote'
  | 'unclosed-quote'
  | 'nul'
  | 'bad-charset'
  | 'too-few-fields'
  | 'too-many-fields'
  | 'repeated-header';

export interface GoodRow {
  readonly kind: 'row';
  /** Physical line of the row's first character, from 1. */
  readonly line: number;
  /** One text per field in file order; shorter than the header where the dialect lets short rows pass. */
  readonly fields: string[];
  /**
   * 1 where a field was quoted *and that changes its meaning* (it is empty or reads like a null word), else 0.
   * Left out when no field of the row is such a one.
   */
  readonly quoted: Uint8Array | undefined;
}

export interface BadRow {
  readonly kind: 'bad';
  readonly line: number;
  /** Field number from 1, where one field is to blame. */
  readonly column: number | undefined;
  readonly code: BadRowCode;
  /** For people; holds nothing of the row's content. */
  readonly message: string;
  /** What was rejected, as read, at most 4096 characters. */
  readonly raw: string;
}

export type ParsedRow = GoodRow | BadRow;

export interface RowBatch {
  readonly rows: readonly ParsedRow[];
  /** Bytes taken from the source so far. */
  readonly bytesRead: number;
}
