import { openEndpoint } from '@millrace/crypto';
import type { Database } from '@millrace/database';
import {
  InputError,
  type GoalEndpoint,
  type ImportPreview,
  type ImportPreviewRequest,
  type PreviewedFile,
} from '@millrace/domain';
import type { Catalogue } from '@millrace/mapping';
import type { ObjectStore } from '@millrace/object-store';
import { loadCatalogue } from '@millrace/profile-store';
import { groupFileSets, type FileSet, type SourceObject } from '../select-files/group-file-sets.js';
import { previewFile } from './preview-file.js';
import { looseName } from './propose-mappings.js';

export interface PreviewServices {
  readonly database: Database;
  readonly sealingKey: Uint8Array;
  readonly openStore: (endpoint: GoalEndpoint) => ObjectStore;
}

export interface PreviewOrder {
  readonly workspaceId: number;
  readonly connectionId: string;
  /** Secrets sealed for the importer. */
  readonly endpoint: GoalEndpoint;
  readonly request: ImportPreviewRequest;
}

const maxListed = 50_000;
const shownSets = 100;

/** Scans the source of a goal and looks into its first set of files. Reads heads only, writes nothing. */
export class PreviewSource {
  readonly #services: PreviewServices;

  constructor(services: PreviewServices) {
    this.#services = services;
  }

  /** @throws InputError where the source cannot be listed or a linked file is missing; TransientError */
  async preview(
    { workspaceId, connectionId, endpoint, request }: PreviewOrder,
    signal: AbortSignal,
  ): Promise<ImportPreview> {
    const { database, sealingKey, openStore } = this.#services;
    const open = openEndpoint(endpoint, sealingKey, { workspaceId, connectionId });
    const catalogue = targets(await loadCatalogue(database, workspaceId), request.groupType);
    const store = openStore(open);
    try {
      const { objects, listedAll } = await list(store, request.source, signal);
      const sets = groupFileSets(request, objects);
      const chosen = chooseSet(sets, request.file);
      const members = chosen === undefined ? [] : [{ alias: 'root', object: chosen.root }, ...chosen.linked];
      const files: PreviewedFile[] = [];
      for (const { alias, object } of members) {
        const link = request.linked.find((each) => each.alias === alias);
        const given = link?.csv ?? request.csv;
        const { bucket } = request.source;
        const common = { store, bucket, pgp: open.pgp, signal, catalogue, rows: request.rows };
        files.push(await previewFile({ ...common, alias, object, given }));
      }
      return {
        sets: sets.slice(0, shownSets).map(({ root, linked }) => ({
          root: shown(root),
          linked: linked.map(({ alias, object }) => ({ alias, ...shown(object) })),
        })),
        setsFound: sets.length,
        objectsListed: objects.length,
        listedAll,
        files: files.map((file) => withLink(file, files, request)),
      };
    } finally {
      store.close();
    }
  }
}

/** What columns can be mapped to: of groups only the properties of their type. */
function targets(catalogue: Catalogue, groupType: string | undefined): Catalogue {
  if (groupType === undefined) return catalogue;
  return {
    ...catalogue,
    namespaces: new Map(),
    properties: catalogue.groupTypes.get(groupType)?.properties ?? new Map(),
  };
}

function shown({ key, size, lastModified }: SourceObject): { key: string; size: number; lastModified: string } {
  return { key, size, lastModified: lastModified.toISOString() };
}

async function list(
  store: ObjectStore,
  { bucket, directory }: ImportPreviewRequest['source'],
  signal: AbortSignal,
): Promise<{ readonly objects: readonly SourceObject[]; readonly listedAll: boolean }> {
  const prefix = directory === '' ? '' : `${directory.replace(/\/+$/, '')}/`;
  const objects: SourceObject[] = [];
  for await (const object of store.list(bucket, prefix)) {
    signal.throwIfAborted();
    if (objects.length >= maxListed) return { objects, listedAll: false };
    objects.push({ ...object, name: object.key.slice(prefix.length) });
  }
  return { objects, listedAll: true };
}

function chooseSet(sets: readonly FileSet[], key: string | undefined): FileSet | undefined {
  if (key === undefined) return sets[0];
  const found = sets.find(({ root }) => root.key === key);
  if (found === undefined)
    throw new InputError('file-not-found', `no root file of the source is called ${key}`, { at: 'file' });
  return found;
}

/** What joins a linked file to its parent: as given, or else the first column both have. */
function withLink(file: PreviewedFile, files: readonly PreviewedFile[], request: ImportPreviewRequest): PreviewedFile {
  const link = request.linked.find(({ alias }) => alias === file.alias);
  if (link === undefined) return file;
  const { parent, column, parentColumn } = link;
  if (column !== undefined && parentColumn !== undefined)
    return { ...file, link: { parent, column, parentColumn, proposed: false } };
  const above = files.find(({ alias }) => alias === parent)?.columns ?? [];
  for (const own of file.columns) {
    if (column !== undefined && own.column !== column) continue;
    const match = above.find((other) =>
      parentColumn === undefined ? looseName(other.column) === looseName(own.column) : other.column === parentColumn,
    );
    if (match !== undefined)
      return { ...file, link: { parent, column: own.column, parentColumn: match.column, proposed: true } };
  }
  return file;
}
