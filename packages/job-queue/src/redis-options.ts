import type { QueueOptions } from 'bull';
import { InputError } from '@millrace/domain';

type RedisOptions = Exclude<NonNullable<QueueOptions['redis']>, string>;

/** Connection options out of `redis://` or `rediss://` URLs. InputError `redis-url` without showing it: it may hold a password. */
export function redisOptions(url: string): RedisOptions {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^rediss?:$/.test(parsed.protocol)) {
    throw new InputError(
      'redis-url',
      'the Redis URL must look like redis://host:6379 or rediss://user:password@host:6379/0',
      {
        at: 'MILLRACE_REDIS_URL',
      },
    );
  }
  const database = Number(parsed.pathname.slice(1) || '0');
  return {
    host: parsed.hostname.replace(/^\[|\]$/g, ''),
    port: Number(parsed.port || '6379'),
    db: Number.isInteger(database) ? database : 0,
    ...(parsed.username === '' ? {} : { username: decodeURIComponent(parsed.username) }),
    ...(parsed.password === '' ? {} : { password: decodeURIComponent(parsed.password) }),
    ...(parsed.protocol === 'rediss:' ? { tls: {} } : {}),
    connectTimeout: 5000,
    // For ever, but never rarer than every three seconds.
    retryStrategy: (times: number) => Math.min(200 * times, 3000),
  };
}
