import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateWorkSchema1763700100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
CREATE TABLE work.goal_snapshot (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  workspace_id integer NOT NULL,
  goal_id uuid NOT NULL,
  kind text NOT NULL,
  document jsonb NOT NULL,
  -- SHA-256 of the canonical JSON: a goal that did not change keeps one snapshot.
  hash text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (goal_id, hash)
);

CREATE TABLE work.unit (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  queue text NOT NULL,
  workspace_id integer NOT NULL,
  run_id uuid NOT NULL,
  goal_id uuid NOT NULL,
  snapshot_id uuid NOT NULL REFERENCES work.goal_snapshot,
  parent_id uuid REFERENCES work.unit ON DELETE CASCADE,
  payload jsonb NOT NULL,
  state text NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'running', 'done', 'failed', 'cancelled')),
  -- Begun so far; one handed back on a stop is taken off again.
  attempts integer NOT NULL DEFAULT 0,
  not_before timestamptz NOT NULL DEFAULT now(),
  result jsonb,
  error jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX unit_open ON work.unit (queue, workspace_id) WHERE state IN ('ready', 'running');
CREATE INDEX unit_run ON work.unit (run_id);
CREATE INDEX unit_parent ON work.unit (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX unit_closed ON work.unit (updated_at) WHERE state IN ('done', 'failed', 'cancelled');

CREATE TABLE work.lease (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  resource text NOT NULL UNIQUE,
  token bigint NOT NULL,
  owner text NOT NULL,
  -- '-infinity': given back.
  expires_at timestamptz NOT NULL,
  -- Makes token a key column: changing it (a takeover) then needs the lock that FOR KEY SHARE refuses, while
  -- a heartbeat, which changes expires_at only, passes a transaction that holds FOR KEY SHARE.
  UNIQUE (id, token)
) WITH (fillfactor = 50);

CREATE TABLE work.owner (
  owner text PRIMARY KEY,
  kind text NOT NULL,
  heartbeat_at timestamptz NOT NULL
);

CREATE TABLE work.command (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL,
  run_id uuid,
  goal_id uuid,
  body jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  handled_at timestamptz
);
CREATE INDEX command_open ON work.command (kind, goal_id, id) WHERE handled_at IS NULL;
-- A cancelled run stays cancelled, so these are looked up handled or not.
CREATE INDEX command_cancel ON work.command (run_id) WHERE kind = 'cancel-run';

CREATE TABLE work.run_event (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  run_id uuid NOT NULL,
  goal_id uuid NOT NULL,
  unit_id uuid,
  body jsonb NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  handled_at timestamptz
);
CREATE INDEX run_event_open ON work.run_event (run_id, id) WHERE handled_at IS NULL;
CREATE INDEX run_event_handled ON work.run_event (handled_at) WHERE handled_at IS NOT NULL;
`);
  }

  async down(): Promise<void> {
    throw new Error('migrations only go forward');
  }
}
