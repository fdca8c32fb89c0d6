import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreatePublisherSchema1763700400000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
CREATE TABLE publisher.goal (
  goal_id uuid PRIMARY KEY,
  workspace_id integer NOT NULL,
  snapshot_id uuid NOT NULL,
  -- active: changes are collected and sent; paused: collected only; inactive: writers make no outbox rows for it.
  state text NOT NULL CHECK (state IN ('active', 'paused', 'inactive')),
  -- What the goal maps, as the outbox names it.
  property_ids integer[] NOT NULL,
  segment_ids uuid[] NOT NULL,
  suppress_same_value boolean NOT NULL,
  -- A profile must have granted one of these; empty: everyone is sent.
  consent_objectives text[] NOT NULL DEFAULT '{}',
  -- Consent changes trigger only goals that read consent.
  reads_consent boolean NOT NULL GENERATED ALWAYS AS (consent_objectives <> '{}') STORED,
  -- The oldest unsent change may be so old.
  max_lag_seconds integer NOT NULL DEFAULT 600,
  activated_at timestamptz NOT NULL DEFAULT now(),
  deactivated_at timestamptz,
  paused_at timestamptz,
  -- Why the goal as a whole cannot send at present, in words for its owner; null while it can.
  fault jsonb,
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX goal_workspace ON publisher.goal (workspace_id);

CREATE TABLE publisher.mapped_segment (
  goal_id uuid NOT NULL REFERENCES publisher.goal ON DELETE CASCADE,
  segment_id uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (goal_id, segment_id)
);

CREATE TABLE publisher.backfill (
  goal_id uuid NOT NULL REFERENCES publisher.goal ON DELETE CASCADE,
  segment_id uuid NOT NULL,
  state text NOT NULL CHECK (state IN ('running', 'done', 'cancelled')),
  -- The last profile id passed; members follow in the order of their ids.
  cursor uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  -- Members that left after this time are sent too: nobody told the stream while the goal was inactive.
  exited_since timestamptz,
  members bigint NOT NULL DEFAULT 0,
  queued bigint NOT NULL DEFAULT 0,
  started_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  PRIMARY KEY (goal_id, segment_id)
);
CREATE INDEX backfill_running ON publisher.backfill (started_at) WHERE state = 'running';

-- What a goal has done since it was first activated; publishers add to it every few seconds.
CREATE TABLE publisher.goal_total (
  goal_id uuid PRIMARY KEY REFERENCES publisher.goal ON DELETE CASCADE,
  records bigint NOT NULL DEFAULT 0,
  bytes bigint NOT NULL DEFAULT 0,
  retries bigint NOT NULL DEFAULT 0,
  throttled bigint NOT NULL DEFAULT 0,
  dead_letters bigint NOT NULL DEFAULT 0,
  withheld bigint NOT NULL DEFAULT 0,
  withdrawn bigint NOT NULL DEFAULT 0,
  erased bigint NOT NULL DEFAULT 0,
  last_sent_at timestamptz
);

-- Of goals that read consent: whom the stream knows, or may know, so that withdrawal is told to it, and nobody else is named.
CREATE TABLE publisher.told (
  goal_id uuid NOT NULL REFERENCES publisher.goal ON DELETE CASCADE,
  profile_id uuid NOT NULL,
  PRIMARY KEY (goal_id, profile_id)
);

-- Never the same number twice for a goal, not even for a row deleted and made again: whoever acknowledges a number
-- that is gone acknowledges nothing. Odd; even numbers are twice those of outbox rows.
CREATE SEQUENCE publisher.delivery_seq INCREMENT BY 2 CACHE 32;

-- What a goal owes the stream of a profile and could not be told at once: of backfills, refused, slow or paused.
CREATE TABLE publisher.delivery (
  goal_id uuid NOT NULL,
  profile_id uuid NOT NULL,
  -- profile.lane(profile_id)
  lane smallint NOT NULL,
  -- 0: a change as it happens; 1: backfill, which waits behind those.
  priority smallint NOT NULL DEFAULT 0,
  seq bigint NOT NULL DEFAULT nextval('publisher.delivery_seq'),
  -- Bits: 1 segment, 2 identity, 4 attribute, 8 consent, 16 backfill, 32 replay, 64 erasure.
  reasons integer NOT NULL,
  -- The mapped segments that changed since the last record.
  segments uuid[] NOT NULL DEFAULT '{}',
  -- The profile was erased: by which identities and segments the receiver knows it, as profile.outbox has it. Gone with the delivery.
  erased jsonb,
  state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'failed')),
  attempts smallint NOT NULL DEFAULT 0,
  not_before timestamptz NOT NULL DEFAULT now(),
  first_change_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  error_code text,
  error_message text,
  failed_at timestamptz,
  PRIMARY KEY (profile_id, goal_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_insert_scale_factor = 0.0, autovacuum_vacuum_insert_threshold = 100000,
        autovacuum_analyze_scale_factor = 0.0, autovacuum_analyze_threshold = 50000);
CREATE INDEX delivery_due ON publisher.delivery (goal_id, lane, priority, not_before) WHERE state = 'pending';
CREATE INDEX delivery_failed ON publisher.delivery (goal_id, failed_at) WHERE state = 'failed';

-- Dead letters that somebody asked to be sent again, and which profiles' they were: how far that is, their deliveries say.
CREATE TABLE publisher.replay (
  id uuid PRIMARY KEY,
  goal_id uuid NOT NULL REFERENCES publisher.goal ON DELETE CASCADE,
  filter jsonb NOT NULL,
  dead_letters integer NOT NULL,
  -- Also the first_change_at of their deliveries: what changes later is none of this replay's.
  taken_at timestamptz NOT NULL
);
CREATE INDEX replay_goal ON publisher.replay (goal_id, taken_at);
CREATE TABLE publisher.replayed (
  replay_id uuid NOT NULL REFERENCES publisher.replay ON DELETE CASCADE,
  profile_id uuid NOT NULL,
  PRIMARY KEY (replay_id, profile_id)
);

-- What config-api reads to raise alerts while no publisher runs: the one thing of this schema others may read.
CREATE VIEW publisher.stream_watch AS
SELECT g.goal_id, g.workspace_id, g.state, g.fault,
  -- Of the changes that were taken up; those still in profile.outbox come on top.
  CASE WHEN g.state = 'active' THEN (
    SELECT min(d.first_change_at) FROM publisher.delivery d WHERE d.goal_id = g.goal_id AND d.state = 'pending' AND d.priority = 0
  ) END AS oldest_unsent_at,
  -- Counted up to there.
  (SELECT count(*) FROM (
    SELECT FROM publisher.delivery d WHERE d.goal_id = g.goal_id AND d.state = 'failed' LIMIT 10000) AS failed)::integer AS dead_letters
FROM publisher.goal g;
`);
  }

  async down(): Promise<void> {
    throw new Error('migrations only go forward: restore a backup instead');
  }
}
