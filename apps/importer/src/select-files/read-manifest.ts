import { exportManifest } from '@millrace/domain';
import { z } from 'zod';
import { parseSimpleXml, type XmlElement } from './simple-xml.js';

/** What a manifest says of one file; what its dialect does not know is absent. */
export interface ManifestEntry {
  /** Where the file may lie, seen from the source directory; the likeliest first. */
  readonly names: readonly string[];
  /** Without header. */
  readonly rows?: number;
  readonly bytes?: number;
  /** In hex, of the bytes as stored. */
  readonly sha256?: string;
}

const adobeManifest = z.object({
  exportResults: z.array(
    z.object({ sinkPath: z.string().default(''), name: z.string().min(1), size: z.coerce.number().int().min(0) }),
  ),
});

/**
 * Reads a manifest in any of the dialects that exports write: Millrace's JSON, Adobe's JSON (`exportResults`) and Pega's XML.
 * Its content tells which.
 * @param directory of the source, with a slash at its end unless it is the root
 * @throws Error saying what is wrong with it
 */
export function readManifest(text: string, directory: string): readonly ManifestEntry[] {
  const trimmed = text.replace(/^\ufeff/, '').trimStart();
  if (trimmed.startsWith('<')) return pegaEntries(parseSimpleXml(trimmed));
  let document: unknown;
  try {
    document = JSON.parse(trimmed);
  } catch {
    throw new Error('it holds neither JSON nor XML');
  }
  if (typeof document === 'object' && document !== null && 'exportResults' in document) {
    const { exportResults } = parsed(adobeManifest, document);
    return exportResults.map(({ sinkPath, name, size }) => ({
      names: adobeNames(sinkPath, name, directory),
      bytes: size,
    }));
  }
  return parsed(exportManifest, document).files.map(({ name, ...facts }) => ({ names: [name], ...facts }));
}

/** The folder is told from the bucket's root, by some with the bucket before it; deliveries are moved around, so the name alone may do. */
function adobeNames(sinkPath: string, name: string, directory: string): readonly string[] {
  const folder = sinkPath.replace(/^\/+|\/+$/g, '');
  const key = folder === '' || name.startsWith(`${folder}/`) ? name : `${folder}/${name}`;
  const inside = key.startsWith(directory) ? [key.slice(directory.length)] : [];
  return [...new Set([...inside, name.slice(name.lastIndexOf('/') + 1)])];
}

function pegaEntries(root: XmlElement): readonly ManifestEntry[] {
  if (root.name !== 'manifest') throw new Error('its root element is not <manifest>');
  const files = child(root, 'files')?.children.filter(({ name }) => name === 'file') ?? [];
  const entries = files.map((file) => {
    const name = child(file, 'name')?.text.trim() ?? '';
    if (name === '') throw new Error('a <file> has no <name>');
    const [rows, bytes] = [countIn(file, 'recordCount'), countIn(file, 'size')];
    return {
      names: [name.replace(/^\.?\/+/, '')],
      ...(rows === undefined ? {} : { rows }),
      ...(bytes === undefined ? {} : { bytes }),
    };
  });
  const total = countIn(root, 'totalRecordCount');
  const [only, another] = entries;
  if (total !== undefined && only !== undefined && another === undefined && only.rows === undefined)
    return [{ ...only, rows: total }];
  if (total !== undefined && entries.every(({ rows }) => rows !== undefined)) checkTotal(total, entries);
  return entries;
}

function child(element: XmlElement, name: string): XmlElement | undefined {
  return element.children.find((each) => each.name === name);
}

function countIn(element: XmlElement, name: string): number | undefined {
  const text = child(element, name)?.text.trim() ?? '';
  if (text === '') return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new Error(`<${name}> is no number`);
  return Number(text);
}

function checkTotal(total: number, entries: readonly { readonly rows?: number }[]): void {
  const sum = entries.reduce((rows, entry) => rows + (entry.rows ?? 0), 0);
  if (sum !== total) throw new Error(`its files have ${sum} rows in all, and it says ${total}`);
}

function parsed<T>(schema: z.ZodType<T>, document: unknown): T {
  const result = schema.safeParse(document);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new Error(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'unknown form'}`);
}
