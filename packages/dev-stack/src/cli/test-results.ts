import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { repositoryRoot } from '../services.js';

/** Where jest writes its report in each package; git ignores the folder. */
export const resultsFile = '.turbo/jest-results.json';

export interface TestTotals {
  readonly passed: number;
  /** Failed tests, and one for each test file or package that could not run at all. */
  readonly failed: number;
  readonly skipped: number;
  /** One line for each failure. */
  readonly problems: readonly string[];
}

interface JestReport {
  readonly numPassedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

/** Forgets the reports of the last run, and makes the folder for the next, which jest does not. */
export function clearResults(): void {
  for (const folder of testedPackages()) {
    const file = path.join(folder, resultsFile);
    rmSync(file, { force: true });
    mkdirSync(path.dirname(file), { recursive: true });
  }
}

export function readResults(): TestTotals {
  let [passed, skipped] = [0, 0];
  const problems: string[] = [];
  for (const folder of testedPackages()) {
    const name = path.relative(repositoryRoot, folder);
    const file = path.join(folder, resultsFile);
    if (!existsSync(file)) {
      problems.push(`${name}: its tests could not run`);
      continue;
    }
    const report = JSON.parse(readFileSync(file, 'utf8')) as JestReport;
    passed += report.numPassedTests;
    skipped += report.numPendingTests + report.numTodoTests;
    problems.push(...failures(report).map((failure) => `${name}: ${failure}`));
  }
  return { passed, skipped, failed: problems.length, problems };
}

function failures(report: JestReport): readonly string[] {
  return report.testResults.flatMap((suite) => {
    const failed = suite.assertionResults.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName);
    const couldNotRun = suite.status === 'failed' && failed.length === 0;
    return couldNotRun
      ? [
          `${path.basename(suite.name)} could not run: ${suite.message.split('\n').find((line) => line.trim() !== '') ?? ''}`,
        ]
      : failed;
  });
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
