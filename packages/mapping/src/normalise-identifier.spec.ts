import { normalisation } from '@millrace/domain';
import { normaliseIdentifier } from './normalise-identifier.js';

const rule = (input: object): ReturnType<typeof normalisation.parse> => normalisation.parse(input);

describe('normalising an identifier', () => {
  it.each([
    [{ case: 'lower' }, '  Ann@Example.ORG ', 'ann@example.org'],
    [{ digitsOnly: true }, '+49 (30) 12-34', '+49301234'],
    [{ digitsOnly: true }, '030/0074321', '0300074321'],
    [{ trim: false }, ' A1 ', ' A1 '],
    [{ case: 'lower', hash: 'sha256' }, 'A', 'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb'],
  ])('applies %j to %j', (input, text, expected) => {
    expect(normaliseIdentifier(text, rule(input))).toBe(expected);
  });

  it.each([
    [{}, '   '],
    [{ digitsOnly: true }, 'none'],
    [{ digitsOnly: true }, '+'],
    [{ hash: 'sha256' }, ' '],
  ])('leaves nothing: %j of %j', (input, text) => {
    expect(normaliseIdentifier(text, rule(input))).toBeUndefined();
  });

  it('takes a digest for what it is, however it is written', () => {
    const hashed = rule({ case: 'lower', hash: 'sha256', digitsOnly: true });
    const once = normaliseIdentifier('0049 30', hashed)!;
    for (const written of [once, ` ${once.toUpperCase()} `]) expect(normaliseIdentifier(written, hashed)).toBe(once);
  });

  it('changes nothing the second time', () => {
    const phone = rule({ digitsOnly: true });
    const once = normaliseIdentifier('+49 30', phone)!;
    expect(normaliseIdentifier(once, phone)).toBe(once);
  });
});
