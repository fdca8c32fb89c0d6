/** A segment rule as the API takes it; see the OpenAPI document for all kinds. */
export type SegmentRule = Readonly<Record<string, unknown>> & { readonly kind: string };

/** The parts of the API's answers that the demo reads. */
export interface Identified {
  readonly id: string;
  readonly name: string;
}

export interface RunView {
  readonly id: string;
  readonly state: 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled';
  readonly goals?: readonly {
    readonly name?: string;
    readonly kind?: string;
    readonly state?: string;
    readonly progress?: {
      readonly phase: string;
      readonly done: number;
      readonly total?: number;
      readonly unit: string;
    } | null;
    readonly counts?: Readonly<Record<string, unknown>> | null;
    readonly error?: { readonly code: string; readonly message: string; readonly at?: string } | null;
  }[];
}

export interface Statistics {
  readonly profiles: number;
  readonly events: number;
  readonly eventLines: number;
}
