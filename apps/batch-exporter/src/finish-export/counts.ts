import type { ExportCounts, ExportProfilesGoal } from '@millrace/domain';
import type { PartTallies } from '../storage/parts.js';
import type { WrittenFile } from './manifest.js';

export interface DeliveredFile extends WrittenFile {
  /** '' for profiles; an event type, or one and its list. */
  readonly series: string;
  readonly tallies: PartTallies;
}

/** What the files of an export say together, each only where the goal can bring it about. */
export function countsOf(
  { timeline, processors, csv }: Pick<ExportProfilesGoal, 'timeline' | 'processors' | 'csv'>,
  files: readonly DeliveredFile[],
): Partial<ExportCounts> {
  const sum = (count: (file: DeliveredFile) => number): number => files.reduce((total, file) => total + count(file), 0);
  return {
    ...(timeline === undefined
      ? {}
      : { events: sum(({ series, rows }) => (series === '' || series.includes('/') ? 0 : rows)) }),
    ...(processors.length === 0
      ? {}
      : {
          filtered: sum(({ tallies }) => tallies.filtered),
          valuesLeftOut: sum(({ tallies }) => tallies.valuesLeftOut),
          logged: addLogs(files.map(({ tallies }) => tallies.logged)),
        }),
    ...(csv.unencodable === 'replace' ? { charactersReplaced: sum(({ tallies }) => tallies.charactersReplaced) } : {}),
  };
}

/** Every file of the profiles counts the same logs, in the same order. */
function addLogs(all: readonly PartTallies['logged'][]): PartTallies['logged'] {
  const [first = [], ...rest] = all.filter((logged) => logged.length > 0);
  return first.map(({ label, rows }, index) => ({
    label,
    rows: rest.reduce((total, logged) => total + (logged[index]?.rows ?? 0), rows),
  }));
}
