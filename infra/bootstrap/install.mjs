import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { BootstrapError, devDirectory, repositoryRoot, runStep } from './steps.mjs';

const oldestNode = [20, 19];
const root = JSON.parse(readFileSync(path.join(repositoryRoot, 'package.json'), 'utf8'));
const pnpmVersion = root.packageManager.replace('pnpm@', '');

export function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < oldestNode[0] || (major === oldestNode[0] && minor < oldestNode[1])) {
    throw new BootstrapError(
      `this is Node ${process.versions.node}, but Millrace needs ${oldestNode.join('.')} or newer`,
      'install it from https://nodejs.org',
    );
  }
  if (process.platform === 'win32') {
    throw new BootstrapError('the embedded stack runs on Linux and macOS', 'use WSL 2, or Docker: docker compose up');
  }
}

/** Puts the pinned pnpm on PATH for everything started from here; nothing is installed outside this folder. */
export async function providePnpm() {
  if (versionOf('pnpm') === pnpmVersion) return;
  const tools = path.join(devDirectory, 'tools');
  const program = path.join(tools, 'node_modules/pnpm/bin/pnpm.mjs');
  const installed = () =>
    existsSync(program)
      ? JSON.parse(readFileSync(path.join(tools, 'node_modules/pnpm/package.json'), 'utf8')).version
      : undefined;
  if (installed() !== pnpmVersion) {
    mkdirSync(tools, { recursive: true });
    rmSync(path.join(tools, 'node_modules'), { recursive: true, force: true });
    await runStep(
      `fetching pnpm ${pnpmVersion}`,
      'pnpm',
      'npm',
      [
        'install',
        '--prefix',
        tools,
        '--no-save',
        '--no-package-lock',
        '--no-audit',
        '--no-fund',
        '--loglevel=error',
        `pnpm@${pnpmVersion}`,
      ],
      { nextStep: 'check the network (npm has to reach its registry: npm ping), then run the same command again' },
    );
  }
  // turbo looks for a program named pnpm; the package's own shim would do, were it made on every platform.
  const shims = path.join(tools, 'bin');
  mkdirSync(shims, { recursive: true });
  writeFileSync(path.join(shims, 'pnpm'), `#!/bin/sh\nexec ${quote(process.execPath)} ${quote(program)} "$@"\n`);
  chmodSync(path.join(shims, 'pnpm'), 0o755);
  process.env.PATH = `${shims}${path.delimiter}${process.env.PATH}`;
}

/** `pnpm install`, left out when the lockfile, this Node and the last install agree. */
export async function installPackages() {
  const stampFile = path.join(repositoryRoot, 'node_modules', '.millrace-install');
  const stamp = installStamp();
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return;
  await runStep(
    'installing packages',
    'install',
    'pnpm',
    ['install', '--frozen-lockfile', '--prod=false', '--reporter=append-only', '--config.confirmModulesPurge=false'],
    {
      nextStep: (lines) =>
        lines.some((line) => line.includes('OUTDATED_LOCKFILE'))
          ? 'a package.json was changed without its lockfile: run `pnpm install` and commit pnpm-lock.yaml'
          : 'check the network and the free disk space, then run the same command again: it goes on where it stopped',
    },
  );
  writeFileSync(stampFile, stamp);
}

function installStamp() {
  const hash = createHash('sha256').update(`${process.version} ${process.platform} ${process.arch} ${pnpmVersion}`);
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json'])
    hash.update(readFileSync(path.join(repositoryRoot, file)));
  return hash.digest('hex');
}

function versionOf(program) {
  try {
    return execFileSync(program, ['--version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      cwd: repositoryRoot,
      timeout: 10_000,
    }).trim();
  } catch {
    return undefined;
  }
}

function quote(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
