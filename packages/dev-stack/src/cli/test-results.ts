import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { repositoryRoot } from '../services.js';

/** Where jest writes its report in each package; git ignores the folder. */
export const resultsFile = '.turbo/jest-results.json';
/** The same for the files that ran a second time. */
export const secondResultsFile = '.turbo/jest-second-results.json';

export interface TestTotals {
  readonly passed: number;
  /** Failed tests, and one for each test file or package that could not run at all. */
  readonly failed: number;
  readonly skipped: number;
  /** One line for each failure. */
  readonly problems: readonly string[];
  /** One line for each test that failed beside the others and passed when its file ran again alone. */
  readonly unsteady: readonly string[];
}

export interface SuiteResult {
  /** The path of the test file. */
  readonly name: string;
  readonly status: string;
  readonly message: string;
  readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
}

export interface PackageResult {
  /** The package's folder, from the top of the repository. */
  readonly name: string;
  /** Undefined: the tests could not run. */
  readonly suites: readonly SuiteResult[] | undefined;
  /** The suites that ran again. */
  readonly second: readonly SuiteResult[];
}

/** Forgets the reports of the last run, and makes the folder for the next, which jest does not. */
export function clearResults(): void {
  for (const folder of testedPackages()) {
    for (const name of [resultsFile, secondResultsFile]) rmSync(path.join(folder, name), { force: true });
    mkdirSync(path.dirname(path.join(folder, resultsFile)), { recursive: true });
  }
}

/** What every package's jest has reported so far. */
export function readResults(): readonly PackageResult[] {
  return testedPackages().map((folder) => ({
    name: path.relative(repositoryRoot, folder),
    suites: readReport(path.join(folder, resultsFile)),
    second: readReport(path.join(folder, secondResultsFile)) ?? [],
  }));
}

function readReport(file: string): readonly SuiteResult[] | undefined {
  if (!existsSync(file)) return undefined;
  return (JSON.parse(readFileSync(file, 'utf8')) as { testResults: readonly SuiteResult[] }).testResults;
}

/** The test files that did not pass, of each package that has some. */
export function failedFiles(results: readonly PackageResult[]): readonly { name: string; files: readonly string[] }[] {
  return results
    .map(({ name, suites = [] }) => ({
      name,
      files: suites.filter(({ status }) => status === 'failed').map((suite) => suite.name),
    }))
    .filter(({ files }) => files.length > 0);
}

/** Counts each test once: by its second run where its file ran again. */
export function totals(results: readonly PackageResult[]): TestTotals {
  let [passed, skipped] = [0, 0];
  const problems: string[] = [];
  const unsteady: string[] = [];
  for (const { name, suites, second } of results) {
    if (suites === undefined) problems.push(`${name}: its tests could not run`);
    for (const first of suites ?? []) {
      const last = second.find((suite) => suite.name === first.name) ?? first;
      const stillFailing = failures(last);
      problems.push(...stillFailing.map((failure) => `${name}: ${failure}`));
      if (last !== first && stillFailing.length === 0)
        unsteady.push(...failures(first).map((failure) => `${name}: ${failure}`));
      for (const { status } of last.assertionResults) {
        if (status === 'passed') passed += 1;
        else if (status !== 'failed') skipped += 1;
      }
    }
  }
  return { passed, skipped, failed: problems.length, problems, unsteady };
}

function failures(suite: SuiteResult): readonly string[] {
  const failed = suite.assertionResults.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName);
  if (suite.status !== 'failed' || failed.length > 0) return failed;
  const reason = suite.message.split('\n').find((line) => line.trim() !== '') ?? '';
  return [`${path.basename(suite.name)} could not run: ${reason}`];
}

/** Folders of the workspace whose package.json has a `test` script. */
function testedPackages(): readonly string[] {
  const nested = ['apps', 'packages'].flatMap((parent) =>
    readdirSync(path.join(repositoryRoot, parent)).map((name) => path.join(repositoryRoot, parent, name)),
  );
  return [...nested, path.join(repositoryRoot, 'e2e'), path.join(repositoryRoot, 'bench')].filter((folder) => {
    const manifest = path.join(folder, 'package.json');
    if (!existsSync(manifest)) return false;
    const { scripts } = JSON.parse(readFileSync(manifest, 'utf8')) as { scripts?: Record<string, string> };
    return scripts?.['test'] !== undefined;
  });
}
