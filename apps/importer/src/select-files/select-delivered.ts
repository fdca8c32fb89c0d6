import type { Readable } from 'node:stream';
import { InputError, type ImportProfilesGoal } from '@millrace/domain';
import type { SourceObject } from './group-file-sets.js';
import { compileNamePattern, describePattern } from './name-pattern.js';
import { readManifest, type ManifestEntry } from './read-manifest.js';

export interface Delivery {
  /** What may be imported now, without token and manifests; each with what its manifest says of it. */
  readonly objects: readonly SourceObject[];
  /** Why something is left for another run. */
  readonly notes: readonly string[];
}

export interface DeliveryOptions {
  readonly source: ImportProfilesGoal['source'];
  /** Everything in the directory. */
  readonly objects: readonly SourceObject[];
  /** The directory as keys begin with it: with a slash at its end unless it is the root. */
  readonly directory: string;
  readonly read: (object: SourceObject) => Promise<Readable>;
  /** Whether this goal has imported an object of the name, so that it may be gone since. */
  readonly isImported: (name: string) => Promise<boolean>;
}

const maxManifestBytes = 16 * 1024 * 1024;

/**
 * Keeps to what has been delivered as a whole: files no newer than the token file, which is written last of all, and files
 * a manifest lists, of several the newest. With neither option everything in the directory counts.
 * @throws InputError `bad-manifest`, `manifest-file-missing`
 */
export async function selectDelivered(options: DeliveryOptions): Promise<Delivery> {
  const { source } = options;
  const notes: string[] = [];
  let objects = options.objects;
  if (source.tokenFile !== undefined) {
    const token = objects.find(({ name }) => name === source.tokenFile);
    if (token === undefined) {
      return { objects: [], notes: [`the token file "${source.tokenFile}" is not there yet: nothing was imported`] };
    }
    const delivered = objects.filter((object) => object !== token && object.lastModified <= token.lastModified);
    const waiting = objects.length - 1 - delivered.length;
    if (waiting > 0)
      notes.push(
        `${waiting === 1 ? '1 file is' : `${waiting} files are`} newer than the token file "${token.name}": left for the next one`,
      );
    objects = delivered;
  }
  return source.manifest === undefined
    ? { objects, notes }
    : { objects: await listedObjects(source.manifest, { ...options, objects }, notes), notes };
}

async function listedObjects(
  pattern: NonNullable<ImportProfilesGoal['source']['manifest']>,
  { objects, directory, read, isImported }: DeliveryOptions,
  notes: string[],
): Promise<readonly SourceObject[]> {
  const names = compileNamePattern(pattern, 'source.manifest');
  const manifests = objects
    .filter(({ name }) => !name.includes('/') && !name.endsWith('.done') && names.match(name) !== undefined)
    .sort((left, right) => right.lastModified.getTime() - left.lastModified.getTime());
  if (manifests.length === 0) notes.push(`there is no manifest ${describePattern(pattern)}: nothing was imported`);
  const byName = new Map(objects.map((object) => [object.name, object]));
  const listed = new Map<string, SourceObject>();
  const seen = new Set<string>();
  for (const manifest of manifests) {
    for (const { names: candidates, ...facts } of await manifestEntries(manifest, directory, read)) {
      const [likeliest = ''] = candidates;
      const object = candidates.map((name) => byName.get(name)).find((found) => found !== undefined);
      const name = object?.name ?? likeliest;
      if (seen.has(name)) continue;
      seen.add(name);
      if (object !== undefined) listed.set(name, { ...object, expected: { manifest: manifest.name, ...facts } });
      else if (!(await anyImported(candidates, isImported))) {
        throw new InputError(
          'manifest-file-missing',
          `"${manifest.name}" lists "${name}", which is not in the directory: deliver it, or take the manifest away`,
          { at: manifest.key },
        );
      }
    }
  }
  return [...listed.values()];
}

async function anyImported(names: readonly string[], isImported: DeliveryOptions['isImported']): Promise<boolean> {
  for (const name of names) if (await isImported(name)) return true;
  return false;
}

async function manifestEntries(
  object: SourceObject,
  directory: string,
  read: DeliveryOptions['read'],
): Promise<readonly ManifestEntry[]> {
  const bad = (reason: string): InputError =>
    new InputError('bad-manifest', `"${object.name}" is no manifest that can be read: ${reason}`, { at: object.key });
  if (object.size > maxManifestBytes) throw bad(`it has more than ${maxManifestBytes} bytes`);
  const chunks: Buffer[] = [];
  for await (const chunk of await read(object)) chunks.push(chunk as Buffer);
  try {
    return readManifest(Buffer.concat(chunks).toString('utf8'), directory);
  } catch (error) {
    throw bad(error instanceof Error ? error.message : 'unknown form');
  }
}
