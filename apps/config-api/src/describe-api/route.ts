import type { z } from 'zod';
import type { Operation } from '../http/operation.js';

export interface Parameter {
  readonly in: 'path' | 'query' | 'header';
  readonly name: string;
  readonly schema: z.ZodType | undefined;
}

/** One route as its controller declares it. */
export interface Route {
  readonly method: string;
  /** `/api/v1/workspaces/{workspace}/runs`. */
  readonly path: string;
  readonly status: number;
  readonly operation: Operation;
  readonly parameters: readonly Parameter[];
  readonly querySchema: z.ZodType | undefined;
  readonly bodySchema: z.ZodType | undefined;
}
