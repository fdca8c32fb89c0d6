import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateImporterSchema1763800000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
-- One row per run, goal and root object: how far its import has come.
CREATE TABLE importer.file (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  run_id uuid NOT NULL,
  goal_id uuid NOT NULL,
  unit_id uuid NOT NULL,
  -- The order in which the run takes its files.
  position integer NOT NULL,
  bucket text NOT NULL,
  key text NOT NULL,
  etag text NOT NULL,
  size bigint NOT NULL,
  -- Of the root object: a person erased since then does not come back by it.
  last_modified timestamptz NOT NULL,
  -- The linked objects: [{alias, key, etag, size, expected}].
  members jsonb NOT NULL DEFAULT '[]',
  -- What a manifest says of the root object: {manifest, rows, bytes, sha256}.
  expected jsonb,
  -- Over the root and the linked objects: any changed member makes it another set.
  set_hash text NOT NULL,
  config_hash text NOT NULL,
  state text NOT NULL CHECK (state IN ('listed', 'staged', 'planned', 'applied', 'finished', 'skipped', 'abandoned')),
  -- Numbers of the unlogged staging tables and of the logged plan tables while they exist.
  stage_number bigint,
  plan_number bigint,
  -- The staging whose rejects count: the last one that began.
  reject_stage bigint,
  chunk_count integer,
  chunk_lines integer,
  -- What staging and resolving counted; what was applied stands in importer.chunk until the file is finished.
  counts jsonb NOT NULL DEFAULT '{}',
  -- Column names by alias, as the rejects were read; aliases without header are left out.
  headers jsonb NOT NULL DEFAULT '{}',
  -- Of a dry run: what would change, with samples before and after; personal data.
  rehearsal jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (run_id, goal_id, key)
);
CREATE INDEX file_set ON importer.file (goal_id, set_hash);
CREATE INDEX file_tables ON importer.file (id) WHERE stage_number IS NOT NULL OR plan_number IS NOT NULL;

-- "Chunk k applied": written in the transaction that applied it.
CREATE TABLE importer.chunk (
  file_id bigint NOT NULL REFERENCES importer.file ON DELETE CASCADE,
  number integer NOT NULL,
  counts jsonb NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (file_id, number)
);

-- What has been imported, so that it is not imported again.
CREATE TABLE importer.ledger (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  goal_id uuid NOT NULL,
  bucket text NOT NULL,
  key text NOT NULL,
  etag text NOT NULL,
  size bigint NOT NULL,
  set_hash text NOT NULL,
  config_hash text NOT NULL,
  run_id uuid NOT NULL,
  finished_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (goal_id, bucket, key, set_hash, config_hash)
);

-- Rows and fields that were not imported, and why. raw holds the row as it stood in the file: never logged, never sent on.
CREATE TABLE importer.reject (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  file_id bigint NOT NULL REFERENCES importer.file ON DELETE CASCADE,
  -- The staging that found it.
  stage_number bigint NOT NULL,
  alias text NOT NULL,
  name text NOT NULL,
  line bigint NOT NULL,
  scope text NOT NULL CHECK (scope IN ('row', 'field', 'ambiguous', 'unmatched')),
  column_name text,
  code text NOT NULL,
  message text NOT NULL,
  raw text,
  -- When a corrected row took its place.
  fixed_at timestamptz
);
CREATE INDEX reject_file ON importer.reject (file_id, stage_number, id);

CREATE SEQUENCE importer.table_number;
`);
  }

  async down(): Promise<void> {
    throw new Error('migrations only go forward: restore a backup instead');
  }
}
