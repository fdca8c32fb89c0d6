import type { Readable } from 'node:stream';
import { exportManifest, InputError, type ExportManifest, type ImportProfilesGoal } from '@millrace/domain';
import type { SourceObject } from './group-file-sets.js';
import { compileNamePattern, describePattern } from './name-pattern.js';

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
  { objects, read, isImported }: DeliveryOptions,
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
    for (const file of (await readManifest(manifest, read)).files) {
      if (seen.has(file.name)) continue;
      seen.add(file.name);
      const object = byName.get(file.name);
      if (object !== undefined) {
        const { rows, bytes, sha256 } = file;
        listed.set(file.name, { ...object, expected: { manifest: manifest.name, rows, bytes, sha256 } });
      } else if (!(await isImported(file.name))) {
        throw new InputError(
          'manifest-file-missing',
          `"${manifest.name}" lists "${file.name}", which is not in the directory: deliver it, or take the manifest away`,
          { at: manifest.key },
        );
      }
    }
  }
  return [...listed.values()];
}

async function readManifest(object: SourceObject, read: DeliveryOptions['read']): Promise<ExportManifest> {
  const bad = (reason: string): InputError =>
    new InputError('bad-manifest', `"${object.name}" is no Millrace manifest: ${reason}`, { at: object.key });
  if (object.size > maxManifestBytes) throw bad(`it has more than ${maxManifestBytes} bytes`);
  const chunks: Buffer[] = [];
  for await (const chunk of await read(object)) chunks.push(chunk as Buffer);
  let document: unknown;
  try {
    document = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw bad('it does not hold JSON');
  }
  const parsed = exportManifest.safeParse(document);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw bad(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'unknown form'}`);
}
