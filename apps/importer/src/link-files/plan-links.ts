import { InputError, type CsvDialect, type EventMapping, type ImportProfilesGoal } from '@millrace/domain';

export const rootAlias = 'root';

/** An event mapping reads this file; `number` is its position among the goal's events. */
export interface PlannedEvent {
  readonly number: number;
  readonly mapping: EventMapping;
  /** The first use of a file's rows is the one that counts them as used: a row is counted once. */
  readonly counts: boolean;
}

/** A nested list of event `event` reads this file; `number` is its position among the event's lists. */
export interface PlannedList {
  readonly event: number;
  readonly number: number;
  readonly mapping: EventMapping;
  readonly list: EventMapping['lists'][number];
  readonly counts: boolean;
}

/** One file of a set and everything the goal wants of its rows. */
export interface PlannedFile {
  readonly alias: string;
  /** 0 is the root. */
  readonly number: number;
  readonly dialect: CsvDialect;
  /** Absent for the root. */
  readonly link?: { readonly parent: string; readonly column: string; readonly parentColumn: string };
  /** Columns of this file that the files below it join on, each once. */
  readonly keyColumns: readonly string[];
  readonly events: readonly PlannedEvent[];
  readonly lists: readonly PlannedList[];
}

/** The files of a set, each after its parent; the root is the first. */
export type LinkPlan = readonly PlannedFile[];

/**
 * Orders the linked files and gives each its uses.
 * @throws InputError `alias-taken`, `parent-not-found`, `link-cycle`, `event-file-not-found`, `list-file-not-below`
 */
export function planLinks(goal: Pick<ImportProfilesGoal, 'csv' | 'linked' | 'events'>): LinkPlan {
  const links = new Map<string, ImportProfilesGoal['linked'][number]>();
  goal.linked.forEach((link, index) => {
    if (link.alias === rootAlias || links.has(link.alias)) {
      throw new InputError(
        'alias-taken',
        `linked.${index}.alias: "${link.alias}" is already the name of another file`,
        { at: `linked.${index}.alias` },
      );
    }
    links.set(link.alias, link);
  });
  const ancestors = new Map(goal.linked.map((link, index) => [link.alias, ancestorsOf(link.alias, links, index)]));
  checkEvents(goal.events, links, ancestors);

  const depth = (alias: string): number => ancestors.get(alias)?.length ?? 0;
  const aliases = [
    rootAlias,
    ...goal.linked.map((link) => link.alias).sort((left, right) => depth(left) - depth(right)),
  ];
  return aliases.map((alias, number) => {
    const link = links.get(alias);
    return {
      alias,
      number,
      dialect: link?.csv ?? goal.csv,
      ...(link === undefined
        ? {}
        : { link: { parent: link.parent, column: link.column, parentColumn: link.parentColumn } }),
      keyColumns: [
        ...new Set(goal.linked.filter((child) => child.parent === alias).map((child) => child.parentColumn)),
      ],
      ...usesOf(alias, goal.events),
    };
  });
}

/** The aliases above `alias`, nearest first, the root last. */
function ancestorsOf(alias: string, links: ReadonlyMap<string, { parent: string }>, index: number): readonly string[] {
  const path: string[] = [];
  for (let current = alias; current !== rootAlias;) {
    const parent = links.get(current)?.parent;
    if (parent === undefined) {
      throw new InputError('parent-not-found', `linked.${index}.parent: there is no file "${current}"`, {
        at: `linked.${index}.parent`,
      });
    }
    if (parent === alias || path.includes(parent)) {
      throw new InputError('link-cycle', `linked.${index}.parent: "${alias}" is linked to itself through "${parent}"`, {
        at: `linked.${index}.parent`,
      });
    }
    path.push(parent);
    current = parent;
  }
  return path;
}

function checkEvents(
  events: readonly EventMapping[],
  links: ReadonlyMap<string, unknown>,
  ancestors: ReadonlyMap<string, readonly string[]>,
): void {
  events.forEach((event, index) => {
    if (event.file !== rootAlias && !links.has(event.file)) {
      throw new InputError('event-file-not-found', `events.${index}.file: there is no file "${event.file}"`, {
        at: `events.${index}.file`,
      });
    }
    event.lists.forEach((list, position) => {
      const at = `events.${index}.lists.${position}.file`;
      if (ancestors.get(list.file)?.includes(event.file) !== true) {
        throw new InputError(
          'list-file-not-below',
          `${at}: the rows of "${list.file}" cannot be nested in events of "${event.file}": link "${list.file}" to "${event.file}", or to a file below it`,
          { at },
        );
      }
    });
  });
}

function usesOf(alias: string, events: readonly EventMapping[]): { events: PlannedEvent[]; lists: PlannedList[] } {
  const planned: { events: PlannedEvent[]; lists: PlannedList[] } = { events: [], lists: [] };
  const unused = (): boolean => planned.events.length === 0 && planned.lists.length === 0;
  events.forEach((mapping, number) => {
    if (mapping.file === alias) planned.events.push({ number, mapping, counts: alias !== rootAlias && unused() });
  });
  events.forEach((mapping, event) =>
    mapping.lists.forEach((list, number) => {
      if (list.file === alias) planned.lists.push({ event, number, mapping, list, counts: unused() });
    }),
  );
  return planned;
}
