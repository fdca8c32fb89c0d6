import type { Connection, Goal } from '@millrace/domain';
import type { Catalogue } from '@millrace/mapping';
import { checkExport } from './check-export.js';
import { checkGroupImport } from './check-group-import.js';
import { checkImport } from './check-import.js';
import { checkStream } from './check-stream.js';
import { Complaints, type Complaint } from './complaints.js';

const connectionKinds = {
  'import-groups': 's3',
  'import-profiles': 's3',
  'export-profiles': 's3',
  stream: 'kinesis',
} as const;

/**
 * Everything about a goal that the workspace or its connection does not have or cannot do, as far as it can be known before
 * a file is seen. Empty: the goal can be saved. Pure; secrets are not needed, the connection may come sealed.
 */
export function validateGoal(goal: Goal, connection: Connection, catalogue: Catalogue): readonly Complaint[] {
  const complaints = new Complaints();
  const wanted = connectionKinds[goal.kind];
  if (connection.kind !== wanted)
    complaints.add(['kind'], `needs a connection of the kind "${wanted}", this one is "${connection.kind}"`);
  switch (goal.kind) {
    case 'import-groups':
      checkGroupImport(goal, connection, catalogue, complaints);
      break;
    case 'import-profiles':
      checkImport(goal, catalogue, complaints);
      break;
    case 'export-profiles':
      checkExport(goal, connection, catalogue, complaints);
      break;
    case 'stream':
      checkStream(goal, catalogue, complaints);
      break;
  }
  return complaints.all;
}
