import type { Connection, ImportGroupsGoal } from '@millrace/domain';
import { importTarget, type Catalogue } from '@millrace/mapping';
import { checkImport } from './check-import.js';
import { Complaints, quoted } from './complaints.js';

/** A goal of groups is checked as the goal of profiles it is read as; what is wrong is told by the names it has here. */
export function checkGroupImport(
  goal: ImportGroupsGoal,
  connection: Connection,
  catalogue: Catalogue,
  complaints: Complaints,
): void {
  if (!catalogue.groupTypes.has(goal.groupType)) {
    const known = [...catalogue.groupTypes.keys()].map(quoted).join(', ');
    complaints.add(
      ['groupType'],
      known === ''
        ? `the workspace has no group type yet: declare ${quoted(goal.groupType)} first`
        : `the workspace has no group type ${quoted(goal.groupType)}: it has ${known}`,
    );
    return;
  }
  const target = importTarget(goal, catalogue);
  const unit = connection.kind === 's3' ? connection.guardrails.unit?.property : undefined;
  if (unit !== undefined && !target.catalogue.properties.has(unit))
    complaints.add(
      ['groupType'],
      `the connection is kept to one organizational unit by the property ${quoted(unit)}, which group type ${quoted(goal.groupType)} does not declare: declare it, or name a column of the file instead`,
    );
  const found = new Complaints();
  checkImport(target.goal, target.catalogue, found);
  for (const { path, message } of found.all) {
    const isKey = path[0] === 'matching' && path[1] === 'identifiers';
    complaints.add(
      isKey ? ['matching', 'column'] : path,
      message.replace('the workspace has', `group type ${quoted(goal.groupType)} has`),
    );
  }
}
