import { InputError } from '@millrace/domain';
import { redisOptions } from './redis-options.js';

describe('redisOptions', () => {
  it('reads host, port, database, user and password', () => {
    expect(redisOptions('redis://me:p%40ss@cache.example:6380/3')).toMatchObject({
      host: 'cache.example',
      port: 6380,
      db: 3,
      username: 'me',
      password: 'p@ss',
    });
  });

  it('uses the standard port and database 0 when none is named', () => {
    expect(redisOptions('redis://localhost')).toMatchObject({ host: 'localhost', port: 6379, db: 0 });
  });

  it('speaks TLS to rediss:// and takes IPv6 addresses', () => {
    expect(redisOptions('rediss://[::1]:6379')).toMatchObject({ host: '::1', tls: {} });
  });

  it('refuses another kind of URL without repeating its password', () => {
    const attempt = (): unknown => redisOptions('http://user:planted-secret@host');
    expect(attempt).toThrow(InputError);
    expect(attempt).not.toThrow(/planted-secret/);
  });

  it('keeps reconnecting at least every three seconds', () => {
    const { retryStrategy } = redisOptions('redis://localhost');
    expect(retryStrategy?.(1)).toBe(200);
    expect(retryStrategy?.(100_000)).toBe(3000);
  });
});
