import { sql, type Transaction } from '@millrace/database';
import type { ChunkContext } from './chunk-context.js';
import { byIndex } from '../profiles/by-index.js';
import { scratchTable } from '../profiles/scratch-table.js';
import { nextVersion } from '../profiles/version.js';
import { tableOf } from './merge-shape.js';

/** Writes the consent columns of the chunk's rows; a real change marks the profile in `touched`. */
export async function applyConsent(tx: Transaction, { shape, inChunk, inLines }: ChunkContext): Promise<void> {
  const [plan, staging, lines] = [tableOf(shape.plan), tableOf(shape.staging), tableOf(shape.planLines)];
  await scratchTable(tx, 'consent_change', sql`profile_id uuid PRIMARY KEY`);
  await tx.query(sql`
    WITH given AS (
      SELECT pl.profile_id, s.consent FROM ${plan} pl JOIN ${staging} s ON s.line = pl.component
      WHERE ${inChunk} AND ${inLines} AND pl.rows = 1 AND s.consent IS NOT NULL
      UNION ALL
      SELECT pl.profile_id, profile.jsonb_merge(s.consent ORDER BY s.line)
      FROM ${plan} pl JOIN ${lines} l ON l.component = pl.component JOIN ${staging} s ON s.line = l.line
      WHERE ${inChunk} AND pl.rows > 1 AND s.consent IS NOT NULL GROUP BY pl.profile_id
    ), written AS (
      INSERT INTO profile.consent AS c (profile_id, objective, granted)
      SELECT g.profile_id, o.key, o.value::boolean FROM given g CROSS JOIN LATERAL jsonb_each_text(g.consent) AS o (key, value)
      ORDER BY g.profile_id, o.key
      ON CONFLICT (profile_id, objective) DO UPDATE
        SET granted = excluded.granted, updated_at = now(), changed_xid = pg_current_xact_id() WHERE c.granted <> excluded.granted
      RETURNING profile_id
    )
    INSERT INTO consent_change SELECT DISTINCT profile_id FROM written`);
  const raise = sql`
    WITH raised AS (
      UPDATE profile.profile p SET version = ${nextVersion}
      FROM consent_change c JOIN touched t USING (profile_id) WHERE t.outcome = 'n' AND p.id = t.profile_id
      RETURNING p.id, p.version
    )
    UPDATE touched t SET version = r.version FROM raised r WHERE t.profile_id = r.id`;
  await byIndex(tx, () => tx.query(raise));
  await tx.query(sql`
    UPDATE touched t SET consent = true, outcome = CASE t.outcome WHEN 'n' THEN 'u' ELSE t.outcome END::"char"
    FROM consent_change c WHERE c.profile_id = t.profile_id`);
}
