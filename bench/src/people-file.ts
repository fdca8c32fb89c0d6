import type { Database } from '@millrace/database';
import type { ImportProfilesGoal, PropertyType } from '@millrace/domain';
import {
  createProperty,
  createWorkspace,
  findWorkspace,
  listProperties,
  type WorkspaceRecord,
} from '@millrace/profile-store';
import { csvFile } from './csv-file.js';

/** Twelve columns: the identifier and eleven properties. */
export const peopleColumns: readonly (readonly [column: string, property: string, type: PropertyType])[] = [
  ['customer_id', 'customerNumber', 'string'],
  ['first_name', 'person.firstName', 'string'],
  ['last_name', 'person.lastName', 'string'],
  ['street', 'address.street', 'string'],
  ['city', 'address.city', 'string'],
  ['postal_code', 'address.postalCode', 'string'],
  ['country', 'address.country', 'string'],
  ['phone', 'telephone', 'string'],
  ['birthday', 'birthday', 'string'],
  ['score', 'score', 'decimal'],
  ['opt_in', 'optIn', 'string'],
];

const cities = ['Berlin', 'Köln', 'México D.F.', 'London', 'Bräcke', 'Lander', 'Oulu', 'Torino'];

/**
 * Writes the file once and keeps it; some 150 bytes a row, one field quoted. Returns its path.
 * @param variant 1 for the same people with another street, city, phone and score each
 */
export async function peopleFile(rows: number, variant: 0 | 1 = 0): Promise<string> {
  const header = `email,${peopleColumns.map(([column]) => column).join(',')}`;
  return csvFile(
    variant === 0 ? `people-${rows}` : `people-${rows}-changed`,
    rows,
    header,
    (row) =>
      `person${row}@example.com,C${String(row).padStart(8, '0')},First${row % 5000},"Last, ${row % 20000}",${(row % 200) + variant} Long Street Name,` +
      `${cities[(row + variant) % 8]},${String(row % 99999).padStart(5, '0')},Germany,+49 30 ${1_000_000 + row + variant},19${50 + (row % 50)}-0${1 + (row % 9)}-1${row % 10},` +
      `${(row + variant) % 1000}.${row % 100},${row % 2 === 0 ? 'no' : 'yes'}`,
  );
}

/** The workspace the benches share, with the file's properties. */
export async function peopleWorkspace(database: Database): Promise<WorkspaceRecord> {
  const workspace = await findWorkspace(database, 'bench').catch(() =>
    createWorkspace(database, { name: 'bench', title: '' }),
  );
  const known = new Set((await listProperties(database, workspace.id)).map(({ name }) => name));
  for (const [, name, type] of peopleColumns) {
    if (!known.has(name))
      await database.transaction((tx) =>
        createProperty(tx, workspace.id, { name, type, list: false, unique: false, labels: [] }),
      );
  }
  return workspace;
}

export function peopleMappings(): ImportProfilesGoal['mappings'] {
  return peopleColumns.map(([column, property]) => ({ column, property, rule: 'set' }));
}
