import { csvDialect, InputError, permissionLevel, type Connection, type ExportProfilesGoal } from '@millrace/domain';
import {
  type Catalogue,
  compileExportEvents,
  inputsOf,
  outputsOf,
  processorMisfit,
  valueFormatMisfits,
} from '@millrace/mapping';
import { checkAudiences, checkWho } from './check-audience.js';
import { checkNames } from './check-names.js';
import { quoted, repeatedAt, type Complaints } from './complaints.js';

export function checkExport(
  goal: ExportProfilesGoal,
  connection: Connection,
  catalogue: Catalogue,
  complaints: Complaints,
): void {
  checkAudiences(goal, catalogue, complaints);
  checkWho(goal, catalogue, complaints);
  const maxColumns = connection.kind === 's3' ? connection.guardrails.maxColumns : undefined;
  if (maxColumns !== undefined && goal.columns.length > maxColumns)
    complaints.add(['columns'], `are ${goal.columns.length}, and the connection allows ${maxColumns}`);
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
  checkNames(goal, complaints);
  for (const { field, message } of valueFormatMisfits(goal.csv)) complaints.add(['csv', field], message);
  checkProcessors(goal, complaints);
  checkTimeline(goal, catalogue, complaints);
  if (goal.splitBytes !== undefined && goal.parts > 1)
    complaints.add(['splitBytes'], 'cannot stand beside parts: one writer cuts all files');
  for (const index of repeatedAt(goal.manifests, ({ kind }) => kind)) {
    complaints.add(['manifests', index], 'is a dialect that stands further up already');
  }
  checkPgp(goal, connection, complaints);
}

function checkProcessors({ processors, columns }: ExportProfilesGoal, complaints: Complaints): void {
  const known = new Set(columns.map(({ header }) => header));
  processors.forEach((processor, index) => {
    const path = ['processors', index];
    if (processor.file !== 'root') complaints.add([...path, 'file'], 'must be absent: an export has only its own rows');
    for (const column of inputsOf(processor)) {
      if (!known.has(column)) complaints.add(path, `there is no column ${quoted(column)} at this point`);
    }
    for (const column of outputsOf(processor)) known.add(column);
    const misfit = processorMisfit(processor);
    if (misfit !== undefined) complaints.add(path, misfit);
  });
}

function checkTimeline({ timeline, ...goal }: ExportProfilesGoal, catalogue: Catalogue, complaints: Complaints): void {
  if (timeline === undefined) return;
  const { types = [], from, until } = timeline;
  for (const index of repeatedAt(types, (code) => code))
    complaints.add(['timeline', 'types', index], 'stands here twice');
  if (from !== undefined && until !== undefined && Date.parse(from) >= Date.parse(until))
    complaints.add(['timeline', 'until'], 'must be after from');
  types.forEach((code, index) => {
    if (!catalogue.eventTypes.has(code))
      complaints.add(['timeline', 'types', index], `the workspace has no event type ${quoted(code)}`);
  });
  if (types.some((code) => !catalogue.eventTypes.has(code))) return;
  try {
    compileExportEvents({ ...goal, csv: csvDialect.parse({}), timeline }, catalogue);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    complaints.add(['timeline', 'types'], error.message);
  }
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
}
