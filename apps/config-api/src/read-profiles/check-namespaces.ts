import type { Catalogue } from '@millrace/mapping';
import { ValidationError } from '@millrace/service-kit';

/** The same for a domain group. @throws ValidationError naming the field `domainGroupId`. */
export function checkDomainGroup(catalogue: Pick<Catalogue, 'domainGroups'>, named: string | undefined): void {
  if (named === undefined || catalogue.domainGroups.has(named.toLowerCase())) return;
  throw new ValidationError([{ field: 'domainGroupId', message: 'the workspace has no such domain group' }]);
}

/**
 * Whether the namespaces that fields of a request name exist. A wrong one is a wrong request (400): a 404 would read as
 * "there is no such profile".
 * @throws ValidationError naming each field.
 */
export function checkNamespaces(
  catalogue: Pick<Catalogue, 'namespaces'>,
  named: readonly { readonly field: string; readonly code: string }[],
): void {
  const unknown = named.filter(({ code }) => !catalogue.namespaces.has(code));
  if (unknown.length === 0) return;
  throw new ValidationError(
    unknown.map(({ field, code }) => ({
      field,
      message: `the workspace has no identity namespace ${JSON.stringify(code)}`,
    })),
  );
}
