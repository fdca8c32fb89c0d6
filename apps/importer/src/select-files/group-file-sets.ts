import { InputError, type ImportProfilesGoal, type LinkedFile } from '@millrace/domain';
import type { ListedObject } from '../storage/files.js';
import { compareNaturally } from './natural-order.js';
import { compileNamePattern, describePattern, type Captures, type NamePattern } from './name-pattern.js';

/** An object of the source directory; `name` is its key without the directory. */
export interface SourceObject {
  readonly key: string;
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly etag: string;
  readonly lastModified: Date;
  readonly expected?: ListedObject['expected'];
}

/** One root file with the files joined to it: imported together or not at all. */
export interface FileSet {
  readonly root: SourceObject;
  readonly linked: readonly { readonly alias: string; readonly object: SourceObject }[];
}

const doneSuffix = '.done';

/**
 * The file sets of a goal, in the order they are to be imported. Objects marked `.done`, folder placeholders and
 * objects of deeper folders are not looked at.
 * @throws InputError `linked-file-missing`, `linked-file-ambiguous`, `linked-name-clash`, `bad-pattern`
 */
export function groupFileSets(
  goal: Pick<ImportProfilesGoal, 'source'> & { readonly linked: readonly Pick<LinkedFile, 'alias' | 'pattern'>[] },
  objects: readonly SourceObject[],
): readonly FileSet[] {
  const rootPattern = compileNamePattern(goal.source.pattern, 'source.pattern');
  const links = goal.linked.map((link, index) => ({
    alias: link.alias,
    pattern: compileNamePattern(link.pattern, `linked.${index}.pattern`),
  }));
  const candidates = objects.filter((object) => isCandidate(object.name));
  const byName = new Map(candidates.map((object) => [object.name, object]));

  const sets: FileSet[] = [];
  for (const root of candidates) {
    const captures = rootPattern.match(root.name);
    if (captures === undefined) continue;
    // "Every file" of a directory that also holds the linked files means every other file.
    if (rootPattern.source.kind === 'every' && links.some((link) => link.pattern.match(root.name) !== undefined))
      continue;
    const linked = links.map(({ alias, pattern }) => ({
      alias,
      object: findLinked({ alias, pattern, rootPattern, root, captures }, byName),
    }));
    refuseClash(root, linked);
    sets.push({ root, linked });
  }
  return sets.sort((left, right) => compareSets(left, right, goal.source.order));
}

function isCandidate(name: string): boolean {
  return name !== '' && !name.includes('/') && !name.endsWith(doneSuffix);
}

interface Search {
  readonly alias: string;
  readonly pattern: NamePattern;
  readonly rootPattern: NamePattern;
  readonly root: SourceObject;
  readonly captures: Captures;
}

// What varied in the root's name must be the same in the linked name: p_20244.csv goes with o_20244.csv and no other.
function findLinked(search: Search, byName: ReadonlyMap<string, SourceObject>): SourceObject {
  const { alias, pattern, rootPattern, root, captures } = search;
  const expected = pattern.variables === captures.length ? pattern.nameFor(captures) : undefined;
  if (pattern.source.kind === 'exact' || expected !== undefined) {
    const name = pattern.source.kind === 'exact' ? pattern.source.name : (expected ?? '');
    const found = byName.get(name);
    if (found !== undefined) return found;
    throw new InputError(
      'linked-file-missing',
      `"${root.name}" needs the linked file "${name}" (${alias}), which is not in the directory`,
      { at: `${root.name}:${alias}` },
    );
  }
  const found = [...byName.values()].filter((object) => {
    const matched = pattern.match(object.name);
    return (
      matched !== undefined &&
      matched.length === captures.length &&
      matched.every((text, index) => text === captures[index])
    );
  });
  const [only, another] = found;
  if (only === undefined) {
    throw new InputError(
      'linked-file-missing',
      `"${root.name}" needs a linked file (${alias}) that matches ${describePattern(pattern.source)} ` +
        `with the same variable parts as in ${describePattern(rootPattern.source)}: ` +
        `${captures.length === 0 ? 'none' : captures.map((text) => `"${text}"`).join(', ')}; there is none in the directory`,
      { at: `${root.name}:${alias}` },
    );
  }
  if (another !== undefined) {
    throw new InputError(
      'linked-file-ambiguous',
      `"${root.name}" may have one linked file (${alias}), but "${only.name}" and "${another.name}" both match ${describePattern(pattern.source)}`,
      { at: `${root.name}:${alias}` },
    );
  }
  return only;
}

function refuseClash(root: SourceObject, linked: FileSet['linked']): void {
  const seen = new Map([[root.name, 'the root']]);
  for (const { alias, object } of linked) {
    const other = seen.get(object.name);
    if (other !== undefined) {
      throw new InputError(
        'linked-name-clash',
        `"${object.name}" would be read both as ${other} and as the linked file ${alias}: give the patterns different names`,
        { at: `${root.name}:${alias}` },
      );
    }
    seen.set(object.name, `the linked file ${alias}`);
  }
}

function compareSets(left: FileSet, right: FileSet, order: 'name' | 'oldest'): number {
  const byTime = order === 'oldest' ? left.root.lastModified.getTime() - right.root.lastModified.getTime() : 0;
  return byTime || compareNaturally(left.root.name, right.root.name);
}
