// Words that occur nowhere else, so that finding one of them anywhere is a leak.
export const s3Secret = 'plantedS3SecretAccessKey0123456789';
export const kinesisSecret = 'plantedKinesisSecretKey0123456789';
export const alertSecret = 'plantedAlertSecretKey0123456789';
/** A secret that a client sends in the wrong place. */
export const misplaced = 'plantedSecretInTheWrongPlace';
export const person = 'Zaphodine';
export const surname = 'Plantagenista';
export const fullName = `${person} ${surname}`;

/** What was planted, in words for a message, and the word. */
export type Planted = readonly (readonly [what: string, word: string])[];

export const personal: Planted = [
  ['a first name', person],
  ['a surname', surname],
  ['an e-mail address', surname.toLowerCase()],
];

export function email(who: string): string {
  return `${who}.${surname}@example.org`.toLowerCase();
}

export function identity(who: string): { readonly namespace: string; readonly value: string } {
  return { namespace: 'email', value: email(who) };
}

/** The query that finds a person. */
export function lookUp(who: string): string {
  return new URLSearchParams(identity(who)).toString();
}

/** Fails naming what was found and where, with a little of the text around it. */
export function expectNone(where: string, text: string, planted: Planted): void {
  const found = planted.flatMap(([what, word]) =>
    [word, Buffer.from(word).toString('base64').slice(0, -4)].flatMap((form) => {
      const at = text.indexOf(form);
      return at < 0 ? [] : [`${what} in ${where}: ...${text.slice(Math.max(0, at - 200), at + form.length + 60)}...`];
    }),
  );
  expect(found).toEqual([]);
}
