import { randomBytes } from 'node:crypto';

/** A name for this process as a holder of leases: `importer-4f9c2a17b3d0`. Never reused, not even by the same machine. */
export function newOwner(service: string): string {
  return `${service.slice(0, 36)}-${randomBytes(6).toString('hex')}`;
}
