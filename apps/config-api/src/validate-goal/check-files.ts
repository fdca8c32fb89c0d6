import type { FilePattern, ImportProfilesGoal } from '@millrace/domain';
import { RE2JS } from 're2js';
import { quoted, repeatedAt, type Complaints } from './complaints.js';

const rootAlias = 'root';

/** The aliases above each linked file, nearest first, the root last; a file with a broken or circular chain has none. */
export type Ancestors = ReadonlyMap<string, readonly string[]>;

/** Patterns that cannot be used, linked files that form no tree, names that root and linked files would fight over. */
export function checkFiles(goal: Pick<ImportProfilesGoal, 'source' | 'linked'>, complaints: Complaints): Ancestors {
  checkPattern(goal.source.pattern, ['source', 'pattern'], complaints);
  if (goal.source.manifest !== undefined) checkManifest(goal.source.manifest, complaints);
  goal.linked.forEach((link, index) => checkPattern(link.pattern, ['linked', index, 'pattern'], complaints));
  for (const index of repeatedAt([{ alias: rootAlias }, ...goal.linked], ({ alias }) => alias)) {
    complaints.add(['linked', index - 1, 'alias'], 'is already the name of another file');
  }
  const ancestors = new Map<string, readonly string[]>();
  goal.linked.forEach((link, index) => {
    const above = ancestorsOf(link.alias, goal.linked);
    if (typeof above !== 'string') ancestors.set(link.alias, above);
    else complaints.add(['linked', index, 'parent'], above);
  });
  checkNames(goal, complaints);
  return ancestors;
}

function checkManifest(manifest: FilePattern, complaints: Complaints): void {
  const path = ['source', 'manifest'];
  if (manifest.kind === 'every') complaints.add(path, 'would take every file for a manifest: name the manifests');
  checkPattern(manifest, path, complaints);
}

function checkPattern(pattern: FilePattern, path: readonly (string | number)[], complaints: Complaints): void {
  if (pattern.kind !== 'regex') return;
  try {
    RE2JS.compile(pattern.pattern);
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'syntax error';
    complaints.add(
      [...path, 'pattern'],
      `is no regular expression in RE2's syntax (no look-around, no back-references): ${reason}`,
    );
  }
}

function ancestorsOf(alias: string, links: ImportProfilesGoal['linked']): readonly string[] | string {
  const above: string[] = [];
  for (let current = alias; current !== rootAlias;) {
    const parent = links.find((link) => link.alias === current)?.parent;
    if (parent === undefined) return `there is no file ${quoted(current)}`;
    if (parent === alias || above.includes(parent)) return 'leads back to this file: linked files must form a tree';
    above.push(parent);
    current = parent;
  }
  return above;
}

function checkNames({ source, linked }: Pick<ImportProfilesGoal, 'source' | 'linked'>, complaints: Complaints): void {
  linked.forEach((link, index) => {
    const path = ['linked', index, 'pattern'];
    if (link.pattern.kind === 'every')
      return complaints.add(path, 'would take the root file too: name the linked file');
    if (samePattern(link.pattern, source.pattern))
      return complaints.add(path, 'must differ from the name of the root file');
    if (matchesExact(source.pattern, link.pattern)) {
      return complaints.add(
        path,
        `would be read as a root file too: its name matches the root's ${quoted(textOf(source.pattern))}`,
      );
    }
    const twin = linked.findIndex((other) => samePattern(other.pattern, link.pattern));
    if (twin < index) complaints.add(path, `must differ from the name of ${quoted(linked[twin]?.alias ?? '')}`);
  });
}

function textOf(pattern: FilePattern): string {
  switch (pattern.kind) {
    case 'every':
      return '*';
    case 'exact':
      return pattern.name;
    case 'wildcard':
    case 'regex':
      return pattern.pattern;
  }
}

function samePattern(left: FilePattern, right: FilePattern): boolean {
  return left.kind === right.kind && textOf(left) === textOf(right);
}

/** Whether the one name `linked` stands for is among the root's. "Every file" as root means every other file, so it never is. */
function matchesExact(root: FilePattern, linked: FilePattern): boolean {
  if (linked.kind !== 'exact' || (root.kind !== 'wildcard' && root.kind !== 'regex')) return false;
  const expression =
    root.kind === 'regex'
      ? root.pattern
      : root.pattern
          .split(/([*?])/)
          .map((piece) => (piece === '*' ? '[^/]*' : piece === '?' ? '[^/]' : RE2JS.quote(piece)))
          .join('');
  try {
    return RE2JS.compile(expression, RE2JS.DOTALL).matches(linked.name);
  } catch {
    // Reported where the pattern stands.
    return false;
  }
}
