import { parseConfig } from '@millrace/service-kit';
import { configSchema } from './config.js';

const key = Buffer.alloc(32, 7).toString('base64');
const services = ['config-api', 'importer', 'batch-exporter', 'stream-publisher'];
const environment = {
  MILLRACE_DATABASE_URL: 'postgres://localhost/millrace',
  MILLRACE_REDIS_URL: 'redis://localhost',
  MILLRACE_SEALING_KEYS: JSON.stringify(Object.fromEntries(services.map((service) => [service, key]))),
};

describe('the configuration', () => {
  it('reads a key of 32 bytes per service', () => {
    const { MILLRACE_SEALING_KEYS: keys } = parseConfig(configSchema, environment);
    expect(Object.keys(keys).sort()).toEqual([...services].sort());
    expect(keys.importer).toHaveLength(32);
  });

  it('refuses a missing or short key without showing any', () => {
    const short = Buffer.alloc(16, 7).toString('base64');
    const keys = JSON.stringify({ 'config-api': key, importer: short, 'batch-exporter': key });
    const read = (): unknown => parseConfig(configSchema, { ...environment, MILLRACE_SEALING_KEYS: keys });
    expect(read).toThrow('must be 32 bytes in base64');
    expect(read).not.toThrow(short.slice(0, 8));
  });

  it('refuses a guessable bootstrap key', () => {
    expect(() => parseConfig(configSchema, { ...environment, MILLRACE_BOOTSTRAP_API_KEY: 'secret' })).toThrow(
      'at least 32',
    );
  });

  it('takes egress addresses and networks, and refuses what is neither', () => {
    const read = (text: string): readonly string[] =>
      parseConfig(configSchema, { ...environment, MILLRACE_EGRESS_ADDRESSES: text }).MILLRACE_EGRESS_ADDRESSES;
    expect(read('192.0.2.1, 198.51.100.0/28 2001:db8::1')).toEqual(['192.0.2.1', '198.51.100.0/28', '2001:db8::1']);
    expect(read('')).toEqual([]);
    expect(() => read('example.com')).toThrow('MILLRACE_EGRESS_ADDRESSES');
  });

  it('takes a mail server only with an address to send from', () => {
    const read = (more: object): unknown => parseConfig(configSchema, { ...environment, ...more });
    const MILLRACE_SMTP_URL = 'smtps://user:hidden-word@mail.example.org';
    expect(read({ MILLRACE_SMTP_URL, MILLRACE_SMTP_FROM: 'millrace@example.org' })).toMatchObject({
      MILLRACE_SMTP_URL,
    });
    expect(() => read({ MILLRACE_SMTP_URL })).toThrow('MILLRACE_SMTP_FROM');
    expect(() => read({ MILLRACE_SMTP_URL: 'http://user:hidden-word@mail.example.org' })).toThrow(
      'must look like smtp://',
    );
    expect(() => read({ MILLRACE_SMTP_URL: 'http://user:hidden-word@mail.example.org' })).not.toThrow('hidden-word');
  });
});
