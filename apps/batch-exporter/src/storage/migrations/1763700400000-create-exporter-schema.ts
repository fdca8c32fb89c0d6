import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateExporterSchema1763700400000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
-- One goal of one run. The state alone decides what comes next, whoever comes next.
CREATE TABLE exporter.export (
  run_id uuid NOT NULL,
  goal_id uuid NOT NULL,
  -- The frozen goal in work.goal_snapshot.
  snapshot_id uuid NOT NULL,
  -- planned: what to write is fixed; parts: names are fixed, parts are being written;
  -- finishing: parts are frozen, a cancel is refused; done: delivered.
  -- abandoning: what was written is being removed; failed, cancelled: it is removed.
  state text NOT NULL CHECK (state IN ('planned', 'parts', 'finishing', 'done', 'abandoning', 'failed', 'cancelled')),
  -- Fixed when planned: mode, reason, watermark it counts from, snapshot, LSN, counts, goal hash, number of files.
  plan jsonb NOT NULL,
  -- In the order of the goal's manifests.
  manifest_keys text[] NOT NULL DEFAULT '{}',
  token_key text,
  -- Once true, objects of this export may be visible.
  finish_begun boolean NOT NULL DEFAULT false,
  -- Why it was abandoned; without one it was cancelled.
  error jsonb,
  abandoned_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (run_id, goal_id)
);
CREATE INDEX export_goal ON exporter.export (goal_id, created_at);
CREATE INDEX export_abandoning ON exporter.export (updated_at) WHERE state = 'abandoning';

CREATE TABLE exporter.part (
  run_id uuid NOT NULL,
  goal_id uuid NOT NULL,
  number integer NOT NULL,
  -- Whose it is: place of the audience among those of the plan, from 0.
  audience integer NOT NULL DEFAULT 0,
  -- What is in it: '' for profiles, else an event type, or one and its list: 'order/products'.
  series text NOT NULL DEFAULT '',
  -- From 1: its place among the files its unit writes one after the other.
  file integer NOT NULL DEFAULT 1,
  unit_id uuid NOT NULL,
  object_key text NOT NULL,
  -- waiting -> writing (the upload is recorded) -> stored (its bytes are, invisibly) -> completed (visible).
  -- omitted: there was nothing to write into it.
  state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'writing', 'stored', 'omitted', 'completed')),
  upload_id text,
  -- What completing the upload takes, once it is stored.
  upload_receipt text,
  -- Of the lease that wrote it.
  lease_token bigint,
  -- So far, while writing.
  rows bigint NOT NULL DEFAULT 0,
  bytes bigint,
  sha256 text,
  -- What became of rows and values on their way into it.
  tallies jsonb NOT NULL DEFAULT '{}',
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (run_id, goal_id, number),
  FOREIGN KEY (run_id, goal_id) REFERENCES exporter.export ON DELETE CASCADE
);

-- Who is in which file of an export that is split by rows or remembered, while it is under way. Written with the plan.
CREATE TABLE exporter.selected (
  run_id uuid NOT NULL,
  goal_id uuid NOT NULL,
  -- Place of the audience among those of the plan, from 0.
  audience integer NOT NULL,
  -- From 1 in each audience, without gaps: its row. Below 0: only for what is remembered.
  number bigint NOT NULL,
  profile_id uuid NOT NULL,
  -- What the row stands for where it is remembered.
  key bytea,
  -- What becomes of the key. Written: row; left, gone, erased: the row tells of who is in the audience no more.
  -- Only remembered: next, the profile has the key behind another one; forget, it has it no more.
  fate text NOT NULL CHECK (fate IN ('row', 'left', 'gone', 'erased', 'next', 'forget')),
  -- For the exporter's key alone: what the receiver knows it by, should nobody have the key any more.
  sealed text,
  PRIMARY KEY (run_id, goal_id, audience, number)
);

-- What the receivers of delivered exports were told: who has each key. Without deduplication each profile has a key of its own.
CREATE TABLE exporter.delivered (
  goal_id uuid NOT NULL,
  -- The segment of the audience, the first of several in one set of files.
  audience uuid NOT NULL,
  -- Of values hashed with the store's own key.
  key bytea NOT NULL,
  profile_id uuid NOT NULL,
  -- The row of the key was this profile's. The others have the same key and follow when it leaves.
  holds boolean NOT NULL,
  -- As in exporter.selected, of who holds.
  sealed text,
  PRIMARY KEY (goal_id, audience, key, profile_id)
);
CREATE INDEX delivered_profile ON exporter.delivered (goal_id, audience, profile_id);

-- Manifests and token file of an export that is finishing, stored invisibly: only their completion is missing, which has an effect once.
CREATE TABLE exporter.announcement (
  run_id uuid NOT NULL,
  goal_id uuid NOT NULL,
  object_key text NOT NULL,
  upload_id text NOT NULL,
  -- What completing the upload takes.
  upload_receipt text NOT NULL,
  PRIMARY KEY (run_id, goal_id, object_key),
  FOREIGN KEY (run_id, goal_id) REFERENCES exporter.export ON DELETE CASCADE
);

-- Goals that were deleted: until no export of theirs can be under way, what is remembered of them is removed over and over.
CREATE TABLE exporter.forgotten_goal (
  goal_id uuid PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now()
);

-- Object names of exports under way: no two of them may write the same one.
CREATE TABLE exporter.reserved_key (
  -- The endpoint, '' for AWS.
  endpoint text NOT NULL,
  bucket text NOT NULL,
  object_key text NOT NULL,
  run_id uuid NOT NULL,
  goal_id uuid NOT NULL,
  PRIMARY KEY (endpoint, bucket, object_key),
  FOREIGN KEY (run_id, goal_id) REFERENCES exporter.export ON DELETE CASCADE
);
CREATE INDEX reserved_key_export ON exporter.reserved_key (run_id, goal_id);

-- What the last delivered export of a goal had seen: changes not visible in the snapshot are due.
CREATE TABLE exporter.watermark (
  goal_id uuid PRIMARY KEY,
  snapshot pg_snapshot NOT NULL,
  -- What the files of that export were made by.
  goal_hash text NOT NULL,
  -- Transaction ids mean nothing in another cluster, on another timeline or after a restore.
  system_identifier text NOT NULL,
  timeline bigint NOT NULL,
  epoch integer NOT NULL,
  run_id uuid NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
);
`);
  }

  async down(): Promise<void> {
    throw new Error('migrations only go forward: restore a backup instead');
  }
}
