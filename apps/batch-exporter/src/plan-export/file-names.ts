import { type ExportProfilesGoal, InputError, type ManifestDialect } from '@millrace/domain';

export interface ExportNames {
  /** Object keys, in part order. */
  readonly files: readonly string[];
  /** In the order of the goal's manifests. */
  readonly manifests: readonly string[];
  readonly token: string | undefined;
}

export interface NameContext {
  readonly segmentName: string;
  readonly plannedAt: Date;
  readonly files: number;
  /** Where each has files of its own, named after it. */
  readonly audiences?:
    readonly { readonly segmentId: string; readonly segmentName: string; readonly files: number }[] | undefined;
  readonly runId: string;
  readonly goalId: string;
}

const timeMacros = ['DATETIME', 'TIMESTAMP'] as const;
const maxKeyBytes = 1024;

/** Whether every run has names of its own: one without a time would meet the files of the run before. */
export function namesCarryTime(goal: ExportProfilesGoal): boolean {
  return timeMacros.some((macro) => goal.fileName.includes(`%${macro}%`));
}

/**
 * `<directory>/<name>.csv[.gz][.pgp]`, `<name>_2.csv...` for the second file; manifests and token beside them.
 * Adobe's manifest is named after goal and run, which no other export shares; the token as the goal says, whatever is taken.
 * @param attempt 1 for the name as the template gives it; `-2`, `-3`, ... is added where names are taken.
 * @throws InputError('file-name-macro', 'file-name-length')
 */
export function exportNames(goal: ExportProfilesGoal, context: NameContext, attempt = 1): ExportNames {
  const expanded = expandTemplate(goal.fileName, 'fileName', macroValues(goal, context));
  const base = attempt === 1 ? expanded : `${expanded}-${attempt}`;
  const prefix = goal.target.directory === '' ? '' : `${goal.target.directory.replace(/\/+$/, '')}/`;
  const extension = `.csv${goal.compression === 'gzip' ? '.gz' : ''}${goal.pgp.encrypt ? '.pgp' : ''}`;
  const filesOf = (name: string, files: number): readonly string[] =>
    Array.from({ length: files }, (_, index) => `${prefix}${name}${index === 0 ? '' : `_${index + 1}`}${extension}`);
  const files =
    context.audiences === undefined
      ? filesOf(base, context.files)
      : context.audiences.flatMap(({ segmentId, segmentName, files: count }) => {
          const values = macroValues({ ...goal, segmentId }, { ...context, segmentName });
          const name = expandTemplate(goal.fileName, 'fileName', values);
          return filesOf(attempt === 1 ? name : `${name}-${attempt}`, count);
        });
  const manifests = goal.manifests.map((dialect) => `${prefix}${manifestName(dialect, base, context)}`);
  const token =
    goal.tokenFile === undefined
      ? undefined
      : `${prefix}${expandTemplate(goal.tokenFile, 'tokenFile', { ...macroValues(goal, context), FILE_NAME: base })}`;
  const keys = [...files, ...manifests, ...(token === undefined ? [] : [token])];
  if (new Set(files).size !== files.length)
    throw new InputError(
      'file-name-repeated',
      'two audiences would have files of the same name: put %SEGMENT_ID% into the file name',
      { at: 'fileName' },
    );
  if (new Set(keys).size !== keys.length)
    throw new InputError('file-name-repeated', `"${token}" would be the name of two files of this export`, {
      at: 'tokenFile',
    });
  for (const key of keys) {
    if (Buffer.byteLength(key) > maxKeyBytes) {
      throw new InputError(
        'file-name-length',
        `the object key "${key.slice(0, 80)}..." is longer than ${maxKeyBytes} bytes; shorten the file name or the directory`,
        {
          at: 'fileName',
        },
      );
    }
  }
  return { files, manifests, token };
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

function macroValues(goal: ExportProfilesGoal, { segmentName, plannedAt }: NameContext): MacroValues {
  return {
    SEGMENT_ID: goal.segmentId,
    SEGMENT_NAME: segmentName,
    DATETIME: plannedAt.toISOString().slice(0, 19).replace('T', '_').replaceAll(/[-:]/g, ''),
    TIMESTAMP: String(Math.floor(plannedAt.getTime() / 1000)),
  };
}

function expandTemplate(template: string, at: 'fileName' | 'tokenFile', values: MacroValues): string {
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
  // A segment may be called anything; a file name may not add folders or control characters to the target.
  return name.replaceAll(/[/\\\p{Cc}]/gu, '_');
}
