import { InputError } from '@millrace/domain';

/** A path or a reference names a connection of another workspace, or none. */
export function noConnection(): InputError {
  return new InputError('connection-not-found', 'there is no such connection in this workspace');
}
