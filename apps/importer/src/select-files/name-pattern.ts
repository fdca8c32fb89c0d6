import { RE2JS } from 're2js';
import { InputError, type FilePattern } from '@millrace/domain';

/** What the variable parts of a name were: one text per wildcard, or per capturing group. */
export type Captures = readonly string[];

export interface NamePattern {
  readonly source: FilePattern;
  /** How many variable parts it has. */
  readonly variables: number;
  /** The variable parts, or undefined where the name does not match as a whole. */
  match(name: string): Captures | undefined;
  /** The one name that has these variable parts, or undefined where a pattern cannot be turned round (`every`, `regex`). */
  nameFor(captures: Captures): string | undefined;
}

/**
 * Compiles a file pattern. `*` stands for any run of characters, `?` for one; both stop at `/`. Regular expressions have
 * RE2's syntax, match the whole name and run in linear time whatever they say.
 * @param at the pattern's field, for the error
 * @throws InputError `bad-pattern`
 */
export function compileNamePattern(source: FilePattern, at: string): NamePattern {
  switch (source.kind) {
    case 'every':
      return { source, variables: 0, match: () => [], nameFor: () => undefined };
    case 'exact':
      return {
        source,
        variables: 0,
        match: (name) => (name === source.name ? [] : undefined),
        nameFor: () => source.name,
      };
    case 'wildcard':
      return compileWildcard(source, source.pattern);
    case 'regex':
      return compileRegex(source, source.pattern, at);
  }
}

function compileWildcard(source: FilePattern, pattern: string): NamePattern {
  const pieces = pattern.split(/([*?])/);
  const text = pieces
    .map((piece) => (piece === '*' ? '([^/]*)' : piece === '?' ? '([^/])' : RE2JS.quote(piece)))
    .join('');
  const compiled = RE2JS.compile(text, RE2JS.DOTALL);
  const variables = pieces.filter((_, index) => index % 2 === 1).length;
  return {
    source,
    variables,
    match: (name) => capture(compiled, name),
    nameFor: (captures) =>
      captures.length === variables
        ? pieces.map((piece, index) => (index % 2 === 1 ? captures[(index - 1) / 2] : piece)).join('')
        : undefined,
  };
}

function compileRegex(source: FilePattern, pattern: string, at: string): NamePattern {
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(pattern);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'syntax error';
    throw new InputError('bad-pattern', `${at}: the regular expression cannot be used: ${reason}`, { at, cause });
  }
  return {
    source,
    variables: compiled.groupCount(),
    match: (name) => capture(compiled, name),
    nameFor: () => undefined,
  };
}

function capture(compiled: RE2JS, name: string): Captures | undefined {
  const matcher = compiled.matcher(name);
  if (!matcher.matches()) return undefined;
  return Array.from({ length: matcher.groupCount() }, (_, index) => matcher.group(index + 1) ?? '');
}

/** The pattern as a person wrote it, for messages. */
export function describePattern(pattern: FilePattern): string {
  switch (pattern.kind) {
    case 'every':
      return 'every file';
    case 'exact':
      return `"${pattern.name}"`;
    case 'wildcard':
      return `"${pattern.pattern}"`;
    case 'regex':
      return `/${pattern.pattern}/`;
  }
}
