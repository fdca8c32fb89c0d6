import { z } from 'zod';

/**
 * What a key may do. `admin` covers everything in its workspace; `platform` also makes workspaces.
 * Destinations are viewed with `config:read` and managed with `config:write`; letting data leave takes `destination:activate`,
 * `config:read`, `profile:read` and `segment:read`, and, where files show identities, `identity:read`.
 */
export const scope = z.enum([
  'platform',
  'admin',
  'config:read',
  'config:write',
  'destination:activate',
  'segment:read',
  'identity:read',
  'run:read',
  'run:write',
  'profile:read',
  'profile:write',
]);
export type Scope = z.infer<typeof scope>;
