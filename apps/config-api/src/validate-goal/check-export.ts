import { permissionLevel, type Connection, type ExportProfilesGoal } from '@millrace/domain';
import type { Catalogue } from '@millrace/mapping';
import { quoted, repeatedAt, type Complaints } from './complaints.js';

const macros = new Set(['%SEGMENT_ID%', '%SEGMENT_NAME%', '%DATETIME%', '%TIMESTAMP%']);

export function checkExport(
  goal: ExportProfilesGoal,
  connection: Connection,
  catalogue: Catalogue,
  complaints: Complaints,
): void {
  if (!catalogue.segments.has(goal.segmentId))
    complaints.add(['segmentId'], 'there is no such segment in this workspace');
  goal.columns.forEach(({ source }, index) => {
    const missing = missingFrom(catalogue, source);
    if (missing !== undefined) complaints.add(['columns', index, 'source', ...missing.path], missing.message);
  });
  goal.mandatory.forEach((name, index) => {
    if (!catalogue.properties.has(name))
      complaints.add(['mandatory', index], `the workspace has no property ${quoted(name)}`);
  });
  for (const index of repeatedAt(goal.mandatory, (name) => name))
    complaints.add(['mandatory', index], 'stands here twice');
  if (goal.csv.header) {
    goal.columns.forEach(({ header }, index) => {
      if (header === '') complaints.add(['columns', index, 'header'], 'must not be empty in a file with a header');
    });
    for (const index of repeatedAt(goal.columns, ({ header }) => header)) {
      complaints.add(['columns', index, 'header'], 'is the header of another column already');
    }
  }
  checkName('fileName', goal.fileName, macros, complaints);
  if (goal.tokenFile !== undefined)
    checkName('tokenFile', goal.tokenFile, new Set([...macros, '%FILE_NAME%']), complaints);
  for (const index of repeatedAt(goal.manifests, ({ kind }) => kind)) {
    complaints.add(['manifests', index], 'is a dialect that stands further up already');
  }
  checkPgp(goal, connection, complaints);
}

function checkName(
  field: 'fileName' | 'tokenFile',
  template: string,
  known: ReadonlySet<string>,
  complaints: Complaints,
): void {
  for (const macro of template.match(/%[A-Z_]+%/g) ?? []) {
    if (!known.has(macro)) complaints.add([field], `${macro} is no macro: use ${[...known].join(', ')}`);
  }
  if (/[/\\\p{Cc}]/u.test(template)) complaints.add([field], 'must not contain slashes or control characters');
}

type Missing = { readonly path: readonly (string | number)[]; readonly message: string };

function missingFrom(
  catalogue: Catalogue,
  source: ExportProfilesGoal['columns'][number]['source'],
): Missing | undefined {
  switch (source.kind) {
    case 'property':
      return catalogue.properties.has(source.property)
        ? undefined
        : { path: ['property'], message: `the workspace has no property ${quoted(source.property)}` };
    case 'identity':
      return catalogue.namespaces.has(source.namespace)
        ? undefined
        : { path: ['namespace'], message: `the workspace has no identity namespace ${quoted(source.namespace)}` };
    case 'segments': {
      const index = (source.segmentIds ?? []).findIndex((id) => !catalogue.segments.has(id));
      return index < 0
        ? undefined
        : { path: ['segmentIds', index], message: 'there is no such segment in this workspace' };
    }
    case 'group':
      return catalogue.groupTypes.has(source.type)
        ? undefined
        : { path: ['type'], message: `the workspace has no group type ${quoted(source.type)}` };
    case 'lifecycle':
      return catalogue.lifecycles.has(source.lifecycleId)
        ? undefined
        : { path: ['lifecycleId'], message: 'there is no such lifecycle in this workspace' };
    case 'viewed-interactions': {
      const isInteraction = (code: string): boolean =>
        catalogue.eventTypes.get(code)?.definition.interaction !== undefined;
      const index = (source.eventTypes ?? []).findIndex((code) => !isInteraction(code));
      return index < 0
        ? undefined
        : { path: ['eventTypes', index], message: 'is no event type of this workspace that names an interaction' };
    }
    case 'permission-level':
      return catalogue.properties.has(permissionLevel)
        ? undefined
        : { path: ['kind'], message: `the workspace has no property ${quoted(permissionLevel)}` };
    case 'profile-id':
    case 'membership-status':
    case 'consent':
    case 'fixed':
      return undefined;
  }
}

function checkPgp(goal: ExportProfilesGoal, connection: Connection, complaints: Complaints): void {
  const keys = connection.kind === 's3' ? connection.pgp : undefined;
  if (goal.pgp.encrypt && (keys?.recipients.length ?? 0) === 0) {
    complaints.add(
      ['pgp', 'encrypt'],
      'the connection has no public key to encrypt for: add one under its pgp.recipients',
    );
  }
  if (goal.pgp.sign && keys?.privateKey === undefined) {
    complaints.add(['pgp', 'sign'], 'the connection has no private key to sign with: add one as its pgp.privateKey');
  }
  if (goal.pgp.sign && !goal.pgp.encrypt)
    complaints.add(['pgp', 'sign'], 'only encrypted files are signed: turn on pgp.encrypt too');
}
