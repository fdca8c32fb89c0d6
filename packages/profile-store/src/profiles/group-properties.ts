import { InputError } from '@millrace/domain';
import { jsonString, type Catalogue } from '@millrace/mapping';
import { stringify } from 'lossless-json';
import { convertValue } from '../ingest/json-value.js';

/**
 * Properties of a group as they are stored, as JSON text: those its type declares in the form of their type, so that imports
 * can merge into them, others as they are. An empty value of a declared one says nothing. Numbers come from a parser that keeps
 * every digit.
 * @throws InputError `group-property-type` naming the property
 */
export function groupPropertiesText(
  catalogue: Catalogue,
  type: string,
  properties: Readonly<Record<string, unknown>>,
): string {
  const declared = catalogue.groupTypes.get(type)?.properties;
  const entries: string[] = [];
  for (const [name, value] of Object.entries(properties)) {
    const property = declared?.get(name);
    if (property === undefined) {
      entries.push(`${jsonString(name)}:${stringify(value)}`);
      continue;
    }
    const converted = convertValue(value, property, false);
    if (converted.kind === 'bad')
      throw new InputError(
        'group-property-type',
        `${converted.message}, as the group type ${JSON.stringify(type)} declares it`,
        {
          at: `properties.${name}`,
        },
      );
    if (converted.json !== null) entries.push(`${jsonString(name)}:${converted.json}`);
  }
  return `{${entries.join(',')}}`;
}
