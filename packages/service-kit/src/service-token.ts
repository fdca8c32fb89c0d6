import { createHash, timingSafeEqual } from 'node:crypto';
import { InputError } from '@millrace/domain';

export const SERVICE_TOKEN = Symbol('Service token');

/**
 * Lets through whoever shows the token that the services share; a service without one answers nobody.
 * @throws InputError `unauthenticated`
 */
export function authenticateService(authorization: string | undefined, token: string | undefined): void {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const shown = /^Bearer (.+)$/.exec(authorization ?? '')?.[1];
  if (token === undefined || shown === undefined || !timingSafeEqual(digest(shown), digest(token))) {
    throw new InputError('unauthenticated', 'show the service token: Authorization: Bearer <MILLRACE_SERVICE_TOKEN>');
  }
}
