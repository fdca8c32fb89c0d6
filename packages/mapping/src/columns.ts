import { InputError } from '@millrace/domain';

/** What a goal puts up with in a file; without it such a column ends the import. */
export interface ColumnTolerance {
  /** A column that is not there reads as a field every row lacks. */
  readonly missing?: boolean;
  /** Of columns with one name the first counts. */
  readonly duplicate?: boolean;
}

/** Beyond every row: what is read there is absent. */
const nowhere = 2 ** 31 - 1;

/** Finds columns by header, or by 1-based position in a file without header. */
export class ColumnIndex {
  readonly #positions = new Map<string, number>();
  readonly #duplicates = new Set<string>();
  readonly #file: string;
  readonly #tolerance: ColumnTolerance;
  readonly width: number;

  /** `header` undefined: a file without header of `width` columns. `file` is what messages call the file. */
  constructor(file: string, header: readonly string[] | undefined, width: number, tolerance: ColumnTolerance = {}) {
    this.#file = file;
    this.#tolerance = tolerance;
    this.width = width;
    if (header === undefined) {
      for (let position = 0; position < width; position += 1) this.#positions.set(String(position + 1), position);
      return;
    }
    header.forEach((name, position) => {
      if (this.#positions.has(name)) this.#duplicates.add(name);
      else this.#positions.set(name, position);
    });
  }

  /** The same columns and, behind them, those of the names that are new. */
  with(names: readonly string[]): ColumnIndex {
    const added = [...new Set(names)].filter((name) => !this.#positions.has(name));
    const extended = new ColumnIndex(this.#file, [], this.width + added.length, this.#tolerance);
    for (const [name, position] of this.#positions) extended.#positions.set(name, position);
    for (const name of this.#duplicates) extended.#duplicates.add(name);
    added.forEach((name, index) => extended.#positions.set(name, this.width + index));
    return extended;
  }

  /** Columns that can be asked for: each name that stands once. */
  names(): readonly string[] {
    return [...this.#positions.keys()].filter((name) => !this.#duplicates.has(name));
  }

  /** 0-based position. Throws InputError('column-missing' | 'column-ambiguous'). */
  position(column: string): number {
    const position = this.#positions.get(column);
    if (position === undefined) {
      // The names are not listed: in a file without header they would be somebody's data.
      throw new InputError(
        'column-missing',
        `${this.#file} has no column ${JSON.stringify(column)} among its ${this.width}; check the header, the delimiter and the mapping`,
        { at: this.#file },
      );
    }
    if (this.#duplicates.has(column) && this.#tolerance.duplicate !== true) {
      throw new InputError(
        'column-ambiguous',
        `${this.#file} has more than one column ${JSON.stringify(column)}; rename one of them`,
        {
          at: this.#file,
        },
      );
    }
    return position;
  }

  /** The same of a column that rows may do without, where the goal puts up with that: then a position no row has. */
  optionalPosition(column: string): number {
    return this.#tolerance.missing === true && !this.#positions.has(column) ? nowhere : this.position(column);
  }
}
