import { type ExportProfilesGoal, InputError } from '@millrace/domain';

export interface ExportNames {
  /** Object keys, in part order. */
  readonly files: readonly string[];
  readonly manifest: string;
}

export interface NameContext {
  readonly segmentName: string;
  readonly plannedAt: Date;
  readonly files: number;
}

const timeMacros = ['DATETIME', 'TIMESTAMP'] as const;
const maxKeyBytes = 1024;

/** Whether every run has names of its own: one without a time would meet the files of the run before. */
export function namesCarryTime(goal: ExportProfilesGoal): boolean {
  return timeMacros.some((macro) => goal.fileName.includes(`%${macro}%`));
}

/**
 * `<directory>/<name>.csv[.gz][.pgp]`, `<name>_2.csv...` for the second file, and `<name>.manifest.json`.
 * @param attempt 1 for the name as the template gives it; `-2`, `-3`, ... is added where names are taken.
 * @throws InputError('file-name-macro', 'file-name-length')
 */
export function exportNames(goal: ExportProfilesGoal, context: NameContext, attempt = 1): ExportNames {
  const expanded = expandTemplate(goal, context);
  const base = attempt === 1 ? expanded : `${expanded}-${attempt}`;
  const prefix = goal.target.directory === '' ? '' : `${goal.target.directory.replace(/\/+$/, '')}/`;
  const extension = `.csv${goal.compression === 'gzip' ? '.gz' : ''}${goal.pgp.encrypt ? '.pgp' : ''}`;
  const files = Array.from(
    { length: context.files },
    (_, index) => `${prefix}${base}${index === 0 ? '' : `_${index + 1}`}${extension}`,
  );
  const manifest = `${prefix}${base}.manifest.json`;
  for (const key of [...files, manifest]) {
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
  return { files, manifest };
}

function expandTemplate(goal: ExportProfilesGoal, { segmentName, plannedAt }: NameContext): string {
  const values: Readonly<Record<string, string>> = {
    SEGMENT_ID: goal.segmentId,
    SEGMENT_NAME: segmentName,
    DATETIME: plannedAt.toISOString().slice(0, 19).replace('T', '_').replaceAll(/[-:]/g, ''),
    TIMESTAMP: String(Math.floor(plannedAt.getTime() / 1000)),
  };
  const name = goal.fileName.replaceAll(/%([A-Z_]+)%/g, (macro, key: string) => {
    const value = values[key];
    if (value === undefined) {
      throw new InputError(
        'file-name-macro',
        `the file name has no macro ${macro}; there are ${Object.keys(values)
          .map((known) => `%${known}%`)
          .join(', ')}`,
        {
          at: 'fileName',
        },
      );
    }
    return value;
  });
  // A segment may be called anything; a file name may not add folders or control characters to the target.
  return name.replaceAll(/[/\\\p{Cc}]/gu, '_');
}
