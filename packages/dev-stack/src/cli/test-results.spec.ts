import { failedFiles, totals, type PackageResult, type SuiteResult } from './test-results.js';

function suite(name: string, tests: Readonly<Record<string, string>>, message = ''): SuiteResult {
  const statuses = Object.values(tests);
  const status = statuses.includes('failed') || message !== '' ? 'failed' : 'passed';
  return {
    name,
    status,
    message,
    assertionResults: Object.entries(tests).map(([fullName, each]) => ({ fullName, status: each })),
  };
}

const ran = (suites: readonly SuiteResult[], second: readonly SuiteResult[] = []): PackageResult => ({
  name: 'packages/some',
  suites,
  second,
});

describe('totals', () => {
  it('counts what passed, failed and was skipped', () => {
    const result = totals([ran([suite('a', { one: 'passed', two: 'failed', three: 'pending', four: 'todo' })])]);
    expect(result).toEqual({ passed: 1, failed: 1, skipped: 2, problems: ['packages/some: two'], unsteady: [] });
  });

  it('counts a package that could not run, and a file that could not be loaded, as failures', () => {
    const result = totals([
      { name: 'apps/none', suites: undefined, second: [] },
      ran([suite('/x/b.spec.ts', {}, '\nSyntaxError: no')]),
    ]);
    expect(result.failed).toBe(2);
    expect(result.problems).toEqual([
      'apps/none: its tests could not run',
      'packages/some: b.spec.ts could not run: SyntaxError: no',
    ]);
  });

  it('counts a test once, by its second run, and names it as unsteady', () => {
    const first = [suite('a', { one: 'failed', two: 'passed' }), suite('b', { three: 'passed' })];
    const result = totals([ran(first, [suite('a', { one: 'passed', two: 'passed' })])]);
    expect(result).toEqual({ passed: 3, failed: 0, skipped: 0, problems: [], unsteady: ['packages/some: one'] });
  });

  it('a test that fails again has failed, whatever else failed first', () => {
    const result = totals([ran([suite('a', { one: 'failed' })], [suite('a', { one: 'failed' })])]);
    expect(result).toMatchObject({ passed: 0, failed: 1, unsteady: [] });
  });
});

describe('failedFiles', () => {
  it('names the files that did not pass, by package', () => {
    const passing = { name: 'apps/fine', suites: [suite('c', { one: 'passed' })], second: [] };
    expect(failedFiles([passing, ran([suite('a', { one: 'failed' }), suite('b', { two: 'passed' })])])).toEqual([
      { name: 'packages/some', files: ['a'] },
    ]);
  });
});
