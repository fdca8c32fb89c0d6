import type { WorkspaceRecord } from '@millrace/profile-store';
import type { Request } from 'express';
import type { Caller } from '../access/caller.js';

/** What the guard has added to a request of a route that needs a key. */
export interface ApiRequest extends Request {
  readonly caller: Caller;
}

/** The same inside `/workspaces/{workspace}`. */
export interface WorkspaceRequest extends ApiRequest {
  readonly workspace: WorkspaceRecord;
}
