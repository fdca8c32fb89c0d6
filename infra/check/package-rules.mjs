#!/usr/bin/env node
// What no other tool checks about the packages themselves: a tag each, one version of every dependency, a README,
// and that every app has a CI workflow.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const tags = ['tooling', 'domain', 'pure', 'platform', 'testing', 'app'];
const complaints = [];

function readJson(file) {
  return JSON.parse(readFileSync(path.join(root, file), 'utf8'));
}

const folders = ['apps', 'packages']
  .flatMap((parent) => readdirSync(path.join(root, parent)).map((name) => `${parent}/${name}`))
  .concat(['e2e', 'bench'])
  .filter((folder) => existsSync(path.join(root, folder, 'package.json')));

for (const folder of folders) {
  const manifest = readJson(`${folder}/package.json`);
  const name = folder.split('/').at(-1);
  if (manifest.name !== `@millrace/${name}`)
    complaints.push(`${folder}: is named ${manifest.name}, not @millrace/${name}`);

  const tag = existsSync(path.join(root, folder, 'turbo.json')) ? readJson(`${folder}/turbo.json`).tags : undefined;
  if (tag?.length !== 1 || !tags.includes(tag[0]))
    complaints.push(`${folder}/turbo.json: needs exactly one tag of ${tags.join(', ')}`);
  if (folder.startsWith('apps/') && tag?.[0] !== 'app')
    complaints.push(`${folder}/turbo.json: an app carries the tag "app"`);

  for (const kind of ['dependencies', 'devDependencies']) {
    for (const [dependency, version] of Object.entries(manifest[kind] ?? {})) {
      const own = dependency.startsWith('@millrace/');
      const wanted = own ? 'workspace:*' : 'catalog:';
      if (version !== wanted)
        complaints.push(`${folder}/package.json: ${dependency} must be "${wanted}", is "${version}"`);
      if (own && existsSync(path.join(root, 'apps', dependency.slice('@millrace/'.length)))) {
        complaints.push(`${folder}/package.json: nothing imports an app, but ${dependency} is one`);
      }
    }
  }
  if (!existsSync(path.join(root, folder, 'README.md')) && tag?.[0] !== 'tooling')
    complaints.push(`${folder}: has no README.md`);
  if (folder.startsWith('apps/') && !existsSync(path.join(root, `.github/workflows/${name}.yml`))) {
    complaints.push(`${folder}: has no .github/workflows/${name}.yml`);
  }
}

for (const complaint of complaints) console.error(complaint);
process.exit(complaints.length > 0 ? 1 : 0);
