import type { ExportProfilesGoal } from '@millrace/domain';
import type { Complaints } from './complaints.js';

const macros = [
  '%DESTINATION%',
  '%DESTINATION_INSTANCE_ID%',
  '%DESTINATION_INSTANCE_NAME%',
  '%SEGMENT_ID%',
  '%SEGMENT_NAME%',
  '%ORGANIZATION_NAME%',
  '%SANDBOX_NAME%',
  '%DATETIME%',
  '%TIMESTAMP%',
];
const folderMacros = /(^|\/)(?:%SEGMENT_(?:NAME|ID)%|%SEGMENT_NAME%\/%SEGMENT_ID%)\/*$/;

/** File names, folder and token of an export: only macros there are, each where it may stand. */
export function checkNames(
  { fileName, tokenFile, timeline, target }: ExportProfilesGoal,
  complaints: Complaints,
): void {
  const check = (path: readonly string[], template: string, known: readonly string[]): void => {
    for (const macro of template.match(/%[A-Z_]+%/g) ?? []) {
      if (!known.includes(macro)) complaints.add(path, `${macro} is no macro: use ${known.join(', ')}`);
    }
    if (/[/\\\p{Cc}]/u.test(template)) complaints.add(path, 'must not contain slashes or control characters');
  };
  check(['fileName'], fileName, macros);
  if (tokenFile !== undefined) check(['tokenFile'], tokenFile, [...macros, '%FILE_NAME%']);
  if (timeline !== undefined)
    check(['timeline', 'fileName'], timeline.fileName, [...macros, '%FILE_NAME%', '%EVENT_TYPE%']);
  if (timeline !== undefined && !timeline.fileName.includes('%EVENT_TYPE%') && timeline.types?.length !== 1)
    complaints.add(['timeline', 'fileName'], 'needs %EVENT_TYPE%: each type has a file of its own');
  if (/%[A-Z_]+%/.test(target.directory.replace(folderMacros, '')))
    complaints.add(
      ['target', 'directory'],
      'has macros only at its end: %SEGMENT_NAME%, %SEGMENT_ID% or %SEGMENT_NAME%/%SEGMENT_ID%',
    );
}
