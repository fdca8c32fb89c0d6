/** Undefined: the value cannot be understood, and its field or row is rejected. */
export type TextChange = (text: string) => string | undefined;

/**
 * An address as it is looked up: out of `mailto:` and angle brackets, without spaces, in lower case. Undefined where what
 * remains is no address: one `@` between a local part and a domain with a dot.
 */
export function cleanEmail(text: string): string | undefined {
  const open = text.lastIndexOf('<');
  const close = text.indexOf('>', open);
  let address = open >= 0 && close > open ? text.slice(open + 1, close) : text;
  address = address.replace(/[\s\u200b\ufeff]/g, '').toLowerCase();
  if (address.startsWith('mailto:')) address = address.slice('mailto:'.length);
  address = address.replace(/[.,;]{1,8}$/, '');
  const at = address.indexOf('@');
  if (at < 1 || address.includes('@', at + 1)) return undefined;
  const labels = address.slice(at + 1).split('.');
  return labels.length > 1 && labels.every((label) => label !== '' && !/[\s@<>()[\]\\,;:"]/.test(label))
    ? address
    : undefined;
}

/** Each word with a capital, the rest small; words part at spaces, hyphens and apostrophes. */
export function titleCase(text: string): string {
  return text
    .toLowerCase()
    .replace(/(^|[\s\-'\u2019])(\p{L})/gu, (_, before: string, letter: string) => before + letter.toUpperCase());
}

/**
 * A name in one spelling: composed characters, single spaces; capitals set right where somebody typed all large or all
 * small. A name that mixes them (McDonald, van der Berg) is believed.
 */
export function normaliseName(text: string): string {
  const name = text.normalize('NFC').replace(/\s+/gu, ' ').trim();
  return name === name.toUpperCase() || name === name.toLowerCase() ? titleCase(name) : name;
}

export interface NumberForm {
  readonly decimalSeparator: '.' | ',';
  readonly groupSeparator: string;
  readonly decimals?: number | undefined;
  readonly to: '.' | ',';
}

const maxDigits = 200;

/** Rewrites a number digit by digit: exact, however long. */
export function numberReformatter({ decimalSeparator, groupSeparator, decimals, to }: NumberForm): TextChange {
  return (text) => {
    const trimmed = text.trim();
    const cut = trimmed.indexOf(decimalSeparator);
    let whole = cut < 0 ? trimmed : trimmed.slice(0, cut);
    const fraction = cut < 0 ? '' : trimmed.slice(cut + 1);
    if (groupSeparator !== '') whole = whole.replaceAll(groupSeparator, '');
    const match = /^([+-]?)(\d*)$/.exec(whole);
    if (match === null || !/^\d*$/.test(fraction)) return undefined;
    const digits = match[2] ?? '';
    if (digits.length + fraction.length === 0 || digits.length + fraction.length > maxDigits) return undefined;
    const rounded = decimals === undefined ? plain(digits, fraction) : round(digits, fraction, decimals);
    const sign = match[1] === '-' && /[1-9]/.test(rounded.whole + rounded.fraction) ? '-' : '';
    return `${sign}${rounded.whole}${rounded.fraction === '' ? '' : to + rounded.fraction}`;
  };
}

function plain(whole: string, fraction: string): { whole: string; fraction: string } {
  return { whole: whole.replace(/^0+(?=\d)/, '') || '0', fraction };
}

function round(whole: string, fraction: string, decimals: number): { whole: string; fraction: string } {
  const kept = fraction.slice(0, decimals).padEnd(decimals, '0');
  const up = (fraction[decimals] ?? '0') >= '5';
  const units = (BigInt(`0${whole}${kept}`) + (up ? 1n : 0n)).toString().padStart(decimals + 1, '0');
  return { whole: units.slice(0, units.length - decimals), fraction: units.slice(units.length - decimals) };
}

/** Negative, zero or positive, or undefined where one of the two is no number. Exact, with a point as decimal separator. */
export function compareNumbers(left: string, right: string): number | undefined {
  const [a, b] = [parts(left), parts(right)];
  if (a === undefined || b === undefined) return undefined;
  const places = Math.max(a.fraction.length, b.fraction.length);
  const [x, y] = [scaled(a, places), scaled(b, places)];
  return x < y ? -1 : x > y ? 1 : 0;
}

interface NumberParts {
  readonly negative: boolean;
  readonly whole: string;
  readonly fraction: string;
}

function parts(text: string): NumberParts | undefined {
  const match = /^([+-]?)(\d{0,200})(?:\.(\d{0,200}))?$/.exec(text.trim());
  if (match === null) return undefined;
  const [, sign, whole = '', fraction = ''] = match;
  return whole + fraction === '' ? undefined : { negative: sign === '-', whole, fraction };
}

function scaled({ negative, whole, fraction }: NumberParts, places: number): bigint {
  const value = BigInt(`0${whole}${fraction.padEnd(places, '0')}`);
  return negative ? -value : value;
}
