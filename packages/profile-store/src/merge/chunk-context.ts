import type { Sql } from '@millrace/database';
import type { Catalogue } from '@millrace/mapping';
import type { MergeShape } from './merge-shape.js';

/** What all steps of one chunk share. */
export interface ChunkContext {
  readonly shape: MergeShape;
  readonly catalogue: Catalogue;
  /** Condition on the plan `pl` that holds for the chunk's components still to be applied. */
  readonly inChunk: Sql;
  /** Condition on the staging table `s` that holds for the first lines of those components: the planner does not derive it. */
  readonly inLines: Sql;
  /** Ids of streamed properties; undefined where no stream goal listens. */
  readonly streamed: ReadonlySet<number> | undefined;
}
