import { z } from 'zod';

/** What a key may do. `admin` covers everything in its workspace; `platform` also makes workspaces. */
export const scope = z.enum([
  'platform',
  'admin',
  'config:read',
  'config:write',
  'run:read',
  'run:write',
  'profile:read',
  'profile:write',
]);
export type Scope = z.infer<typeof scope>;
