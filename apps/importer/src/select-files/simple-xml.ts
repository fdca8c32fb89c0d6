/** An element with its text or the elements in it; attributes, comments and name prefixes are passed over. */
export interface XmlElement {
  readonly name: string;
  readonly text: string;
  readonly children: readonly XmlElement[];
}

interface OpenElement {
  readonly name: string;
  text: string;
  readonly children: XmlElement[];
}

const markup = /<!--[\s\S]*?-->|<\?[\s\S]*?\?>|<!\[CDATA\[([\s\S]*?)\]\]>|<(\/?)([^\s<>/!?]+)([^<>]*?)(\/?)>|<|[^<]+/gy;
const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
const deepest = 32;

/**
 * Reads a document of elements and text, as manifests are. No document types, and so no entities but XML's own: nothing is
 * fetched and nothing unfolds. Linear in the length of the text.
 * @throws Error saying what is wrong
 */
export function parseSimpleXml(document: string): XmlElement {
  const top: OpenElement = { name: '', text: '', children: [] };
  const open: OpenElement[] = [top];
  for (const match of document.replace(/^\ufeff/, '').matchAll(markup)) {
    const [whole, cdata, closing, name, , selfClosed] = match;
    const current = open.at(-1) ?? top;
    if (whole === '<' || whole.startsWith('<!DOCTYPE')) throw new Error('a "<" that begins no element');
    if (cdata !== undefined) current.text += cdata;
    else if (name === undefined) current.text += whole.startsWith('<') ? '' : decoded(whole);
    else if (closing === '/') {
      if (open.length === 1 || current.name !== localName(name)) throw new Error(`</${name}> closes nothing`);
      open.pop();
    } else {
      const element: OpenElement = { name: localName(name), text: '', children: [] };
      current.children.push(element);
      if (selfClosed !== '/') open.push(element);
      if (open.length > deepest) throw new Error('elements are nested too deeply');
    }
  }
  const [root, another] = top.children;
  if (open.length > 1) throw new Error(`<${open.at(-1)?.name ?? ''}> is not closed`);
  if (root === undefined || another !== undefined || top.text.trim() !== '') throw new Error('not one root element');
  return root;
}

function localName(name: string): string {
  return name.slice(name.indexOf(':') + 1);
}

function decoded(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]+));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return entities[name as string] ?? whole;
    const code = decimal === undefined ? Number.parseInt(hex as string, 16) : Number(decimal);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
