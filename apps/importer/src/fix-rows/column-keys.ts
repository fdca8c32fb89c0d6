/** A key per column that is the same for columns of the same name in other files; doubled names are told apart by their number. */
export function columnKeys(header: readonly string[]): readonly string[] {
  const seen = new Map<string, number>();
  return header.map((name) => {
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return `${name}\0${count}`;
  });
}
