import { z } from 'zod';
import type { ProfileState } from './record-template.js';

const erasedProfile = z.object({
  version: z.string().regex(/^\d+$/),
  identities: z.array(z.tuple([z.int(), z.string()])),
  memberships: z.array(z.tuple([z.uuid(), z.enum(['+', '-']), z.number()])),
});

/** What was left behind of an erased profile (`profile.outbox.erased`), as it was just before, without attributes. */
export function erasedState(profileId: string, json: string): ProfileState {
  const { version, identities, memberships } = erasedProfile.parse(JSON.parse(json));
  return {
    profileId,
    version,
    attributes: [],
    identities: identities.map(([namespaceId, value]) => ({ namespaceId, valueJson: JSON.stringify(value) })),
    memberships: memberships.map(([segmentId, sign, qualifiedAtMs]) => ({
      segmentId,
      status: sign === '+' ? 'realized' : 'exited',
      qualifiedAt: new Date(qualifiedAtMs).toISOString(),
    })),
    consents: [],
  };
}
