import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateConfigSchema1763710000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
CREATE TABLE config.api_key (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT api_key_pk PRIMARY KEY,
  -- Null: a platform key, good for every workspace.
  workspace_id integer,
  name text NOT NULL,
  -- The first characters of the key, so that a person can tell keys apart.
  prefix text NOT NULL,
  -- SHA-256 of the key, lower-case hexadecimal.
  key_hash text NOT NULL CONSTRAINT api_key_hash_unique UNIQUE,
  scopes text[] NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  last_used_at timestamptz
);
CREATE INDEX api_key_workspace ON config.api_key (workspace_id);

CREATE TABLE config.connection (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT connection_pk PRIMARY KEY,
  workspace_id integer NOT NULL,
  kind text NOT NULL,
  name text NOT NULL,
  active boolean NOT NULL,
  -- The connection as the API takes it, its secrets sealed.
  document jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT connection_name_unique UNIQUE (workspace_id, name)
);

CREATE TABLE config.goal (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT goal_pk PRIMARY KEY,
  workspace_id integer NOT NULL,
  connection_id uuid NOT NULL CONSTRAINT goal_connection REFERENCES config.connection ON DELETE CASCADE,
  kind text NOT NULL,
  name text NOT NULL,
  active boolean NOT NULL,
  -- The user's order inside the connection; gaps are fine.
  position integer NOT NULL,
  document jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT goal_name_unique UNIQUE (connection_id, name)
);

-- Data with the label may not leave by a connection for the action.
CREATE TABLE config.policy (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT policy_pk PRIMARY KEY,
  workspace_id integer NOT NULL,
  name text NOT NULL,
  label text NOT NULL,
  action text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT policy_name_unique UNIQUE (workspace_id, name)
);

-- Labels of what has no place of its own for them; those of properties stand with the property.
CREATE TABLE config.label (
  workspace_id integer NOT NULL,
  kind text NOT NULL,
  -- Id of a segment or goal, code of a type.
  name text NOT NULL,
  labels text[] NOT NULL,
  CONSTRAINT label_pk PRIMARY KEY (workspace_id, kind, name)
);

-- History outlives its connection, so there is no reference.
CREATE TABLE config.run (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT run_pk PRIMARY KEY,
  workspace_id integer NOT NULL,
  connection_id uuid NOT NULL,
  connection_name text NOT NULL,
  state text NOT NULL CONSTRAINT run_state CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  -- Raised under the row lock by everything that changes the run or its goals: readers ask for what is newer.
  revision bigint NOT NULL DEFAULT 1,
  requested_by text NOT NULL,
  -- A person agreed that sums are added again by files imported under another configuration.
  repeat_sums boolean NOT NULL DEFAULT false,
  dry_run boolean NOT NULL DEFAULT false,
  cancel_requested_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  started_at timestamptz,
  finished_at timestamptz
);
CREATE INDEX run_workspace ON config.run (workspace_id, id);
CREATE INDEX run_connection ON config.run (connection_id, id);
CREATE UNIQUE INDEX run_one_open ON config.run (connection_id) WHERE state IN ('queued', 'running');

CREATE TABLE config.run_goal (
  run_id uuid NOT NULL CONSTRAINT run_goal_run REFERENCES config.run ON DELETE CASCADE,
  goal_id uuid NOT NULL,
  -- The order in which the goals of the run follow one another.
  position integer NOT NULL,
  kind text NOT NULL,
  name text NOT NULL,
  state text NOT NULL
    CONSTRAINT run_goal_state CHECK (state IN ('waiting', 'queued', 'running', 'succeeded', 'failed', 'cancelled', 'not-run')),
  -- The GoalSnapshot frozen when the run opened, secrets sealed for the service that runs it; null once it was handed over.
  snapshot jsonb,
  unit_id uuid,
  counts jsonb NOT NULL DEFAULT '{}',
  progress jsonb,
  notes jsonb NOT NULL DEFAULT '[]',
  notes_omitted integer NOT NULL DEFAULT 0,
  error jsonb,
  -- The newest work.run_event whose totals stand here.
  last_event_id bigint NOT NULL DEFAULT 0,
  started_at timestamptz,
  finished_at timestamptz,
  CONSTRAINT run_goal_pk PRIMARY KEY (run_id, goal_id)
);

CREATE TABLE config.ingestion_batch (
  workspace_id integer NOT NULL,
  batch_id text NOT NULL,
  -- SHA-256 of the request's meaning: the same id with another content is a mistake to report.
  request_hash text NOT NULL,
  result jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT ingestion_batch_pk PRIMARY KEY (workspace_id, batch_id)
);
CREATE INDEX ingestion_batch_age ON config.ingestion_batch (created_at);

-- Who is told of what on a connection.
CREATE TABLE config.alert_rule (
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT alert_rule_pk PRIMARY KEY,
  workspace_id integer NOT NULL,
  connection_id uuid NOT NULL CONSTRAINT alert_rule_connection REFERENCES config.connection ON DELETE CASCADE,
  name text NOT NULL,
  active boolean NOT NULL,
  -- The rule as the API takes it, its secrets sealed.
  document jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT alert_rule_name_unique UNIQUE (connection_id, name)
);

-- What was told of and is not over yet: its end is told to the same rule, once.
CREATE TABLE config.alert_incident (
  rule_id uuid NOT NULL CONSTRAINT alert_incident_rule REFERENCES config.alert_rule ON DELETE CASCADE,
  -- The run, goal or connection it is about.
  subject uuid NOT NULL,
  event text NOT NULL,
  opened_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT alert_incident_pk PRIMARY KEY (rule_id, subject, event)
);
CREATE INDEX alert_incident_subject ON config.alert_incident (subject);

-- One alert to one receiver. Written with what it tells of, in one transaction; sent until the receiver has taken it.
CREATE TABLE config.alert_delivery (
  -- Told to the receiver: the same however often it is sent.
  id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT alert_delivery_pk PRIMARY KEY,
  workspace_id integer NOT NULL,
  connection_id uuid NOT NULL,
  -- History outlives its rule, so there is no reference.
  rule_id uuid NOT NULL,
  -- What happened, in the terms of who writes it: told once to each receiver.
  occurrence text NOT NULL,
  channel text NOT NULL CONSTRAINT alert_delivery_channel CHECK (channel IN ('email', 'webhook')),
  recipient text NOT NULL,
  message jsonb NOT NULL,
  state text NOT NULL DEFAULT 'pending' CONSTRAINT alert_delivery_state CHECK (state IN ('pending', 'sent', 'failed')),
  -- Begun so far.
  attempts integer NOT NULL DEFAULT 0,
  not_before timestamptz NOT NULL DEFAULT now(),
  -- From then on it is tried until it is given up.
  tried_since timestamptz NOT NULL DEFAULT now(),
  -- Until then a process sends it; null: nobody does.
  claimed_until timestamptz,
  error jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  CONSTRAINT alert_delivery_once UNIQUE (rule_id, occurrence, channel, recipient)
);
CREATE INDEX alert_delivery_due ON config.alert_delivery (not_before) WHERE state = 'pending';
CREATE INDEX alert_delivery_workspace ON config.alert_delivery (workspace_id, id);
CREATE INDEX alert_delivery_age ON config.alert_delivery (finished_at) WHERE finished_at IS NOT NULL;

-- Stream goals whose oldest unsent change is older than they allow.
CREATE TABLE config.late_stream (
  goal_id uuid NOT NULL CONSTRAINT late_stream_pk PRIMARY KEY CONSTRAINT late_stream_goal REFERENCES config.goal ON DELETE CASCADE,
  since timestamptz NOT NULL DEFAULT now()
);
`);
  }

  async down(): Promise<void> {
    throw new Error('migrations of Millrace only go forward');
  }
}
