import { sql, type Database, type Transaction } from '@millrace/database';
import { InputError, type ingestionBatch, type IngestionResult } from '@millrace/domain';
import { ingestBatch, loadCatalogue } from '@millrace/profile-store';
import { createHash } from 'node:crypto';
import type { z } from 'zod';
import { checkDomainGroup } from '../read-profiles/check-namespaces.js';
import { canonicalText } from './canonical-text.js';
import { Turns } from './turns.js';

export type IngestionBatch = z.infer<typeof ingestionBatch>;

// Fewer than the service has connections.
const overall = { atOnce: 7, mayWait: 500 };
const eachWorkspace = { atOnce: 4, mayWait: 200 };

/**
 * Applies a batch in one transaction, together with the note that it was applied: sent again, by a client that never saw the
 * answer, it gets the first answer and changes nothing. Two of the same at once wait for each other.
 */
export class IngestUpdates {
  readonly #database: Database;
  readonly #turns = new Turns(overall);
  readonly #turnsOfWorkspace = new Map<number, Turns>();

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * `batch`: parsed with exact numbers (lossless-json).
   * @throws InputError `batch-conflict` when the id was used for a batch with another content; ValidationError for an unknown domain group.
   * @throws TransientError `ingestion-busy` where too many batches wait.
   */
  async ingest(workspaceId: number, batch: IngestionBatch): Promise<IngestionResult> {
    const hash = createHash('sha256').update(canonicalText(batch)).digest('hex');
    return this.#ofWorkspace(workspaceId).take(() => this.#turns.take(() => this.#apply(workspaceId, batch, hash)));
  }

  /** No workspace takes all turns: its batches may all be waiting for one another. */
  #ofWorkspace(workspaceId: number): Turns {
    const turns = this.#turnsOfWorkspace.get(workspaceId) ?? new Turns(eachWorkspace);
    this.#turnsOfWorkspace.set(workspaceId, turns);
    return turns;
  }

  async #apply(workspaceId: number, batch: IngestionBatch, hash: string): Promise<IngestionResult> {
    return this.#database.transaction(async (tx) => {
      const earlier = await this.#reserve(tx, workspaceId, batch.batchId, hash);
      if (earlier !== undefined) return earlier;
      const catalogue = await loadCatalogue(tx, workspaceId);
      checkDomainGroup(catalogue, batch.domainGroupId);
      const { allowCreation, domainGroupId } = batch;
      const items = await ingestBatch(tx, catalogue, batch.updates, { allowCreation, domainGroupId });
      const result: IngestionResult = { batchId: batch.batchId, items: [...items] };
      await tx.query(sql`
        UPDATE config.ingestion_batch SET result = ${JSON.stringify(result)}::jsonb WHERE workspace_id = ${workspaceId} AND batch_id = ${batch.batchId}`);
      return result;
    });
  }

  /** The result of the same batch if there was one. Waits while another transaction applies it. */
  async #reserve(
    tx: Transaction,
    workspaceId: number,
    batchId: string,
    hash: string,
  ): Promise<IngestionResult | undefined> {
    const { rowCount } = await tx.query(sql`
      INSERT INTO config.ingestion_batch (workspace_id, batch_id, request_hash) VALUES (${workspaceId}, ${batchId}, ${hash})
      ON CONFLICT DO NOTHING`);
    if (rowCount === 1) return undefined;
    const { rows } = await tx.query<{ request_hash: string; result: string }>(sql`
      SELECT request_hash, result FROM config.ingestion_batch WHERE workspace_id = ${workspaceId} AND batch_id = ${batchId}`);
    const [row] = rows;
    // Retention removed it between the two statements: as if it had never been.
    if (row === undefined) return this.#reserve(tx, workspaceId, batchId, hash);
    if (row.request_hash !== hash) {
      throw new InputError(
        'batch-conflict',
        'this batchId was used for a batch with another content: choose a new one',
        { at: 'batchId' },
      );
    }
    return JSON.parse(row.result) as IngestionResult;
  }
}

/** Forgets batches older than this; their ids could be used again then. Returns how many. */
export async function removeOldBatches(database: Database, days: number): Promise<number> {
  const { rowCount } = await database.query(sql`
    DELETE FROM config.ingestion_batch WHERE (workspace_id, batch_id) IN (
      SELECT workspace_id, batch_id FROM config.ingestion_batch WHERE created_at < now() - ${days}::float8 * interval '1 day' LIMIT 5000)`);
  return rowCount;
}
