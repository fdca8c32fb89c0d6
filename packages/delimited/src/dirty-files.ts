import { damagedFile, type DirtyFile } from './dirty-maker.js';
import { charsets, damages } from './dirty-rows.js';
import { wholeFileDamages } from './dirty-wholes.js';

export { dirtyColumns, type DirtyFile, type ExpectedRows } from './dirty-maker.js';

/** Every kind of damage in every charset that can have it, and every line break; the same files on every call, each with ids of its own. */
export function dirtyFiles(): readonly DirtyFile[] {
  const makers = [
    ...damages.flatMap((damage) =>
      charsets
        .filter((charset) => damage.charsets?.includes(charset) ?? true)
        .map((charset, index) => damagedFile(damage, charset, index % 2 === 0 ? 'LF' : 'CRLF')),
    ),
    ...damages
      .filter((damage) => damage.charsets === undefined)
      .flatMap((damage) => [
        damagedFile(damage, 'utf-8', 'mixed'),
        damagedFile(damage, 'utf-16le', 'CR'),
        damagedFile(damage, 'windows-1252', 'CRLF', 'end'),
      ]),
    ...wholeFileDamages(),
  ];
  return makers.map((make, index) => make(index + 1));
}
