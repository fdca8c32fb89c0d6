import { type ExportProfilesGoal, InputError, type ManifestDialect } from '@millrace/domain';

export interface ExportNames {
  /** Object keys of the files of profiles, in part order. */
  readonly files: readonly string[];
  /** Of the first file of each series of events, all of one audience after the other. */
  readonly events: readonly string[];
  /** In the order of the goal's manifests. */
  readonly manifests: readonly string[];
  readonly token: string | undefined;
}

/** Whoever has files of its own. */
export interface NamedAudience {
  readonly segmentId: string;
  readonly segmentName: string;
  /** Files of profiles. */
  readonly files: number;
}

export interface NameContext {
  readonly segmentName: string;
  /** Where each audience has files of its own. */
  readonly audiences?: readonly NamedAudience[] | undefined;
  readonly workspace: { readonly name: string; readonly title: string };
  readonly connection: { readonly id: string; readonly name: string };
  readonly plannedAt: Date;
  /** Files of profiles. */
  readonly files: number;
  /** Files of events beside them: of a type, or of one of its lists. */
  readonly series: readonly { readonly type: string; readonly list: string | undefined }[];
  readonly runId: string;
  readonly goalId: string;
}

/** Connections of other kinds export nothing. */
const destination = 'S3';
const timeMacros = ['DATETIME', 'TIMESTAMP'] as const;
const maxKeyBytes = 1024;
const folderMacros = /(^|\/)(%SEGMENT_(?:NAME|ID)%|%SEGMENT_NAME%\/%SEGMENT_ID%)\/*$/;

/** Whether every run has names of its own: one without a time would meet the files of the run before. */
export function namesCarryTime(goal: ExportProfilesGoal): boolean {
  const { fileName, timeline } = goal;
  const carriesTime = (template: string): boolean => timeMacros.some((macro) => template.includes(`%${macro}%`));
  const events = timeline?.fileName;
  return carriesTime(fileName) && (events === undefined || events.includes('%FILE_NAME%') || carriesTime(events));
}

/**
 * `<directory>/<name>.csv[.gz][.pgp]`, `<name>_2.csv...` for the second file; files of events, manifests and token beside them.
 * Adobe's manifest is named after goal and run, which no other export shares; the token as the goal says, whatever is taken.
 * @param attempt 1 for the name as the template gives it; `-2`, `-3`, ... is added where names are taken.
 * @throws InputError('file-name-macro', 'file-name-length', 'file-name-repeated')
 */
export function exportNames(goal: ExportProfilesGoal, context: NameContext, attempt = 1): ExportNames {
  const { segmentName, files: fileCount, audiences } = context;
  const sets = (audiences ?? [{ segmentId: goal.segmentId, segmentName, files: fileCount }]).map((audience) =>
    fileSet(goal, context, audience, attempt),
  );
  const files = sets.flatMap((set) => set.files);
  const events = sets.flatMap((set) => set.events);
  const { values, prefix, base } = fileSet(
    goal,
    context,
    { segmentId: goal.segmentId, segmentName, files: 0 },
    attempt,
  );
  const manifests = goal.manifests.map((dialect) => `${prefix}${manifestName(dialect, base, context)}`);
  const token =
    goal.tokenFile === undefined
      ? undefined
      : `${prefix}${expandTemplate(goal.tokenFile, 'tokenFile', { ...values, FILE_NAME: base })}`;
  checkKeys([...files, ...events, ...manifests, ...(token === undefined ? [] : [token])]);
  return { files, events, manifests, token };
}

interface FileSet {
  readonly values: MacroValues;
  readonly prefix: string;
  readonly base: string;
  readonly files: readonly string[];
  readonly events: readonly string[];
}

function fileSet(goal: ExportProfilesGoal, context: NameContext, audience: NamedAudience, attempt: number): FileSet {
  const values = macroValues(audience, context);
  const again = attempt === 1 ? '' : `-${attempt}`;
  const base = expandTemplate(goal.fileName, 'fileName', values) + again;
  const folder = expandDirectory(goal.target.directory, values);
  const prefix = folder === '' ? '' : `${folder}/`;
  const first = `${prefix}${base}${extensionOf(goal)}`;
  const files = Array.from({ length: audience.files }, (_, index) => furtherFile(goal, first, index + 1));
  const template = goal.timeline?.fileName ?? '';
  const events = context.series.map(({ type, list }) => {
    const name = expandTemplate(template, 'timeline.fileName', { ...values, FILE_NAME: base, EVENT_TYPE: type });
    const own = template.includes('%FILE_NAME%') ? name : name + again;
    return `${prefix}${own}${list === undefined ? '' : `_${inOneFolder(list)}`}${extensionOf(goal)}`;
  });
  return { values, prefix, base, files, events };
}

/** The key of file `number` of the set that begins with `first`: `name.csv`, `name_2.csv`, ... */
export function furtherFile(goal: ExportProfilesGoal, first: string, number: number): string {
  const extension = extensionOf(goal);
  return number === 1 ? first : `${first.slice(0, -extension.length)}_${number}${extension}`;
}

function extensionOf({ compression, pgp }: ExportProfilesGoal): string {
  return `.csv${compression === 'gzip' ? '.gz' : ''}${pgp.encrypt || pgp.sign ? '.pgp' : ''}`;
}

function checkKeys(keys: readonly string[]): void {
  const repeated = keys.find((key, index) => keys.indexOf(key) !== index);
  if (repeated !== undefined)
    throw new InputError('file-name-repeated', `"${repeated}" would be the name of two files of this export`, {
      at: 'fileName',
    });
  for (const key of keys) {
    if (Buffer.byteLength(key) <= maxKeyBytes) continue;
    throw new InputError(
      'file-name-length',
      `the object key "${key.slice(0, 80)}..." is longer than ${maxKeyBytes} bytes; shorten the file name or the directory`,
      { at: 'fileName' },
    );
  }
}

function manifestName(dialect: ManifestDialect, base: string, { goalId, runId }: NameContext): string {
  switch (dialect.kind) {
    case 'millrace':
      return `${base}.manifest.json`;
    case 'adobe':
      return `manifest-${goalId}-${runId}.json`;
    case 'pega':
      return `${base}.manifest.xml`;
  }
}

type MacroValues = Readonly<Record<string, string>>;

function macroValues(
  { segmentId, segmentName }: Omit<NamedAudience, 'files'>,
  { workspace, connection, plannedAt }: NameContext,
): MacroValues {
  return {
    DESTINATION: destination,
    DESTINATION_INSTANCE_ID: connection.id,
    DESTINATION_INSTANCE_NAME: connection.name,
    SEGMENT_ID: segmentId,
    SEGMENT_NAME: segmentName,
    ORGANIZATION_NAME: workspace.title === '' ? workspace.name : workspace.title,
    SANDBOX_NAME: workspace.name,
    DATETIME: plannedAt.toISOString().slice(0, 19).replace('T', '_').replaceAll(/[-:]/g, ''),
    TIMESTAMP: String(Math.floor(plannedAt.getTime() / 1000)),
  };
}

function expandTemplate(
  template: string,
  at: 'fileName' | 'tokenFile' | 'timeline.fileName',
  values: MacroValues,
): string {
  const name = template.replaceAll(/%([A-Z_]+)%/g, (macro, key: string) => {
    const value = values[key];
    if (value === undefined) {
      const known = Object.keys(values)
        .map((name) => `%${name}%`)
        .join(', ');
      throw new InputError('file-name-macro', `the file name has no macro ${macro}; there are ${known}`, { at });
    }
    return value;
  });
  return inOneFolder(name);
}

/** Macros stand at the end, and each of their values is one folder. */
function expandDirectory(directory: string, values: MacroValues): string {
  const expanded = directory.replace(folderMacros, (found) =>
    found.replaceAll(/%([A-Z_]+)%/g, (_, key: string) => inOneFolder(values[key] ?? '')),
  );
  return expanded.replace(/\/+$/, '');
}

/** A segment may be called anything; a name may not add folders or control characters to the target. */
function inOneFolder(name: string): string {
  const safe = name.replaceAll(/[/\\\p{Cc}]/gu, '_');
  return safe === '.' || safe === '..' || safe === '' ? '_' : safe;
}
