/** Bytes 80 to 9F of Windows-1252; everywhere else it is ISO-8859-1. U+FFFD marks the five that stand for nothing. */
const upper =
  '\u20ac\ufffd\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\ufffd\u017d\ufffd' +
  '\ufffd\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\ufffd\u017e\u0178';

const byteOf = new Map([...upper].map((character, index) => [character, 0x80 + index] as const));
byteOf.delete('\ufffd');

const differs = /[\x80-\x9f]/;
const allThatDiffer = /[\x80-\x9f]/g;

/** Turns text decoded as ISO-8859-1 into what its bytes mean in Windows-1252. */
export function windows1252Text(latin1: string, onBad: (index: number, byte: number) => void): string {
  if (!differs.test(latin1)) return latin1;
  return latin1.replace(allThatDiffer, (byteCharacter, index: number) => {
    const byte = byteCharacter.charCodeAt(0);
    const character = upper[byte - 0x80] as string;
    if (character === '\ufffd') onBad(index, byte);
    return character;
  });
}

/** The byte of a character in Windows-1252, or undefined where it has none. */
export function windows1252Byte(character: string): number | undefined {
  const code = character.charCodeAt(0);
  if (code < 0x80 || (code >= 0xa0 && code <= 0xff)) return code;
  return byteOf.get(character);
}
