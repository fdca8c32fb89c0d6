#!/usr/bin/env node
// affected.mjs <package> <base commit>: prints `affected=true` or `affected=false`, by turbo's package graph.
// Whatever cannot be compared (a new branch, a rewritten history) counts as affected.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const [name, base = ''] = process.argv.slice(2);

function isKnown(commit) {
  try {
    execFileSync('git', ['cat-file', '-e', `${commit}^{commit}`], { cwd: root, stdio: 'ignore' });
    return !/^0+$/.test(commit);
  } catch {
    return false;
  }
}

function affectedPackages() {
  const version = /^ {2}turbo: (.+)$/m.exec(readFileSync(path.join(root, 'pnpm-workspace.yaml'), 'utf8'))[1];
  const query = ['--yes', `turbo@${version}`, 'query', 'affected', '--packages', '--base', base];
  const answer = execFileSync('npx', query, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  return JSON.parse(answer).data.affectedPackages.items.map((item) => item.name);
}

const affected = !isKnown(base) || affectedPackages().includes(name);
console.log(`affected=${affected}`);
