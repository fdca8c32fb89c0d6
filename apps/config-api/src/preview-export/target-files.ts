import { type Connection, type ExportProfilesGoal, summariseError } from '@millrace/domain';
import type { ObjectInfo } from '@millrace/object-store';
import { z } from 'zod';
import type { Drivers } from '../manage-connections/try-connection.js';

const shownFiles = 20;
/** Objects looked at, at most: a target may be a folder of everything. */
const lookedAt = 2000;

export const targetFiles = z
  .object({
    files: z
      .array(z.object({ name: z.string(), bytes: z.int(), lastModified: z.iso.datetime() }))
      .describe(`The newest ${shownFiles}, newest first`),
    count: z.int(),
    more: z.boolean().describe(`There are more than the ${lookedAt} that were counted`),
    error: z.object({ code: z.string(), message: z.string() }).optional().describe('Why they could not be listed'),
  })
  .describe('What lies in the target directory already');
export type TargetFiles = z.infer<typeof targetFiles>;

/** That the target cannot be listed is a finding, not an error. */
export async function listTarget(
  connection: Connection,
  { target }: ExportProfilesGoal,
  drivers: Drivers,
): Promise<TargetFiles> {
  const store = drivers.objectStore(connection);
  try {
    const found: ObjectInfo[] = [];
    let more = false;
    for await (const object of store.list(target.bucket, prefixOf(target.directory))) {
      if (found.length === lookedAt) {
        more = true;
        break;
      }
      found.push(object);
    }
    const newest = found.sort((left, right) => right.lastModified.getTime() - left.lastModified.getTime());
    return {
      files: newest.slice(0, shownFiles).map(({ key, size, lastModified }) => ({
        name: key,
        bytes: size,
        lastModified: lastModified.toISOString(),
      })),
      count: found.length,
      more,
    };
  } catch (error) {
    const { code, message } = summariseError(error);
    return { files: [], count: 0, more: false, error: { code, message } };
  } finally {
    store.close();
  }
}

/** Up to the first macro, which every run may fill in otherwise. */
function prefixOf(directory: string): string {
  const segments = directory.split('/').filter((segment) => segment !== '');
  const fixed = segments.findIndex((segment) => segment.includes('%'));
  const known = fixed < 0 ? segments : segments.slice(0, fixed);
  return known.map((segment) => `${segment}/`).join('');
}
