/** One field of a request that cannot be taken. `field` is a dotted path (`source.bucket`, `columns.2.header`), '' the whole. */
export interface FieldError {
  readonly field: string;
  readonly message: string;
}

interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
  /** zod's `invalid_union`: the issues of each branch. */
  readonly errors?: readonly (readonly Issue[])[];
  /** zod's `unrecognized_keys`. */
  readonly keys?: readonly string[];
}

const maxFieldErrors = 50;

/** Names the fields a schema refused. Of a union the branch that came furthest speaks, as that is most likely the one meant. */
export function fieldErrors(issues: readonly Issue[]): readonly FieldError[] {
  return issues.flatMap((issue) => flatten(issue, [])).slice(0, maxFieldErrors);
}

function flatten(issue: Issue, prefix: readonly string[]): readonly FieldError[] {
  const path = [...prefix, ...(issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part))];
  const branches = issue.errors?.filter((branch) => branch.length > 0) ?? [];
  if (branches.length > 0) {
    const described = branches.map((branch) => branch.flatMap((inner) => flatten(inner, path)));
    return described.reduce((best, next) => (depthOf(next) > depthOf(best) ? next : best));
  }
  if (issue.keys !== undefined && issue.keys.length > 0) {
    return issue.keys.map((key) => ({ field: [...path, key].join('.'), message: 'is not known here' }));
  }
  return [{ field: path.join('.'), message: issue.message }];
}

// A branch refused for its discriminator stops at once; the one meant gets deeper, or complains less.
function depthOf(errors: readonly FieldError[]): number {
  const depth = Math.max(...errors.map((error) => error.field.split('.').length));
  const wrongKind = errors.some((error) => /(^|\.)kind$/.test(error.field));
  return (wrongKind ? -1000 : 0) + depth * 10 - errors.length;
}
