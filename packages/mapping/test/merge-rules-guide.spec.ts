import { readFileSync } from 'node:fs';

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8');
const { readings } = JSON.parse(read('../fixtures/field-readings.json')) as {
  readings: Record<string, Record<string, Record<string, Record<string, unknown>> | 'rejected'>>;
};

/** The guide's word for what the fixtures say of a field. */
function inWords(reading: Record<string, Record<string, unknown>> | 'rejected'): string {
  if (reading === 'rejected') return 'rejects';
  const [part] = Object.values(reading);
  if (part === undefined) return 'keeps';
  return Object.values(part)[0] === null ? 'clears' : 'writes';
}

it('the guide to merge rules reads every field as the fixtures do', () => {
  const lines = read('../../../docs/guides/merge-rules.md').split('\n');
  const table = lines.slice(lines.findIndex((line) => line.startsWith('| the field holds'))).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('`', '')),
  );
  const end = table.findIndex((cells) => cells.length === 0);
  const [header = [], , ...rows] = table.slice(0, end);
  const told = Object.fromEntries(
    header.slice(2).map((rule, index) => [rule, Object.fromEntries(rows.map((cells) => [cells[0], cells[index + 2]]))]),
  );
  const expected = Object.fromEntries(
    Object.entries(readings).map(([rule, fields]) => [
      rule,
      Object.fromEntries(Object.entries(fields).map(([field, reading]) => [field, inWords(reading)])),
    ]),
  );
  expect(told).toEqual(expected);
});
