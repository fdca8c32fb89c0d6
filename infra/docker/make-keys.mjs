// Runs once in `docker compose up`: makes the secrets of the stack in /keys unless they are there, one file each,
// as the services read them (MILLRACE_..._FILE).
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';

const services = ['config-api', 'importer', 'batch-exporter', 'stream-publisher'];
const make = (name, content) => {
  if (!existsSync(`/keys/${name}`)) writeFileSync(`/keys/${name}`, content, { mode: 0o444 });
  return readFileSync(`/keys/${name}`, 'utf8');
};

const sealing = Object.fromEntries(
  services.map((service) => [service, make(service, randomBytes(32).toString('base64'))]),
);
make('all.json', JSON.stringify(sealing));
make('service-token', randomBytes(30).toString('base64url'));
console.log(`API key: ${make('api-key', `mr_${randomBytes(30).toString('base64url')}`)}`);
