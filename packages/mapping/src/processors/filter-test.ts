import { InputError, type FilterTest } from '@millrace/domain';
import { RE2JS } from 're2js';
import { compareNumbers } from './change-text.js';

/** Whether a value, or the lack of one, passes. */
export type CompiledTest = (value: string | undefined) => boolean;

/**
 * No value passes `missing` and nothing else. Compared as numbers, a text that is none does not pass.
 * Regular expressions run in linear time. @throws InputError `bad-pattern`, `bad-number`
 */
export function compileFilterTest(test: FilterTest): CompiledTest {
  const passes = compileValueTest(test);
  return (value) => (value === undefined ? test.op === 'missing' : passes(value));
}

function compileValueTest(test: FilterTest): (value: string) => boolean {
  switch (test.op) {
    case 'matches': {
      const expression = compileExpression(test.pattern);
      return (value) => expression.test(value);
    }
    case 'equals':
      return (value) => value === test.value;
    case 'not-equals':
      return (value) => value !== test.value;
    case 'contains':
      return (value) => value.includes(test.value);
    case 'starts-with':
      return (value) => value.startsWith(test.value);
    case 'ends-with':
      return (value) => value.endsWith(test.value);
    case 'in': {
      const values = new Set(test.values);
      return (value) => values.has(value);
    }
    case 'exists':
      return () => true;
    case 'missing':
      return () => false;
    case 'less':
      return ordered(test, (order) => order < 0);
    case 'less-or-equal':
      return ordered(test, (order) => order <= 0);
    case 'greater':
      return ordered(test, (order) => order > 0);
    case 'greater-or-equal':
      return ordered(test, (order) => order >= 0);
  }
}

function ordered(
  { value: bound, as }: { readonly value: string; readonly as: 'number' | 'text' },
  holds: (order: number) => boolean,
): (value: string) => boolean {
  if (as === 'text') return (value) => holds(value < bound ? -1 : value > bound ? 1 : 0);
  if (compareNumbers(bound, '0') === undefined)
    throw new InputError(
      'bad-number',
      `${JSON.stringify(bound)} is no number: write it with a point, or compare as text`,
    );
  return (value) => {
    const order = compareNumbers(value, bound);
    return order !== undefined && holds(order);
  };
}

function compileExpression(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'syntax error';
    throw new InputError(
      'bad-pattern',
      `is no regular expression in RE2's syntax (no look-around, no back-references): ${reason}`,
      { cause },
    );
  }
}
