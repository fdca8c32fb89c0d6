import type { MigrationInterface, QueryRunner } from 'typeorm';

// Hash partitions let scans and exports split without coordination; eight is a stored constant.
const partitions = Array.from(
  { length: 8 },
  (_, remainder) =>
    `CREATE TABLE profile.profile_p${remainder} PARTITION OF profile.profile FOR VALUES WITH (MODULUS 8, REMAINDER ${remainder});`,
).join('\n');

export class CreateProfileSchema1763700000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
CREATE TABLE profile.store (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  -- Raised by the operator after a restore; leads every profile version, so versions never go back.
  epoch integer NOT NULL DEFAULT 1,
  -- Random: keeps the hashes in tombstones from being tried out elsewhere.
  tombstone_key bytea NOT NULL DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
);
INSERT INTO profile.store DEFAULT VALUES;

CREATE TABLE profile.workspace (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL UNIQUE,
  title text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE profile.domain_group (
  -- Narrow: it leads the key of every identity.
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- What goals and clients name it by.
  public_id uuid NOT NULL UNIQUE DEFAULT uuidv7(),
  workspace_id integer NOT NULL REFERENCES profile.workspace,
  name text NOT NULL,
  is_default boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (workspace_id, name)
);
CREATE UNIQUE INDEX domain_group_default ON profile.domain_group (workspace_id) WHERE is_default;

CREATE TABLE profile.property (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  workspace_id integer NOT NULL REFERENCES profile.workspace,
  name text NOT NULL,
  type text NOT NULL CHECK (type IN ('string', 'integer', 'decimal', 'boolean', 'date', 'timestamp')),
  is_list boolean NOT NULL DEFAULT false,
  is_unique boolean NOT NULL DEFAULT false,
  labels text[] NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (workspace_id, name)
);

CREATE TABLE profile.identity_namespace (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  workspace_id integer NOT NULL REFERENCES profile.workspace,
  code text NOT NULL,
  kind text NOT NULL,
  normalisation jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (workspace_id, code)
);

CREATE TABLE profile.event_type (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  workspace_id integer NOT NULL REFERENCES profile.workspace,
  code text NOT NULL,
  definition jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (workspace_id, code)
);

CREATE TABLE profile.profile (
  id uuid NOT NULL,
  workspace_id integer NOT NULL,
  domain_group_id integer NOT NULL,
  -- Flat: dotted path -> value or list of values. Nested only on output.
  properties jsonb NOT NULL,
  version bigint NOT NULL,
  changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id)
) PARTITION BY HASH (id);
${partitions}
CREATE INDEX profile_changed ON profile.profile (workspace_id, changed_xid);

CREATE TABLE profile.identity (
  -- Of the profile. The namespace tells the workspace.
  domain_group_id integer NOT NULL,
  namespace_id integer NOT NULL,
  -- Normalised by the namespace's rule.
  value text NOT NULL,
  profile_id uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (domain_group_id, namespace_id, value)
);
CREATE INDEX identity_profile ON profile.identity (profile_id);

CREATE TABLE profile.consent (
  profile_id uuid NOT NULL,
  objective text NOT NULL,
  granted boolean NOT NULL,
  changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (profile_id, objective)
);
CREATE INDEX consent_changed ON profile.consent (changed_xid);

CREATE TABLE profile.event (
  event_type_id integer NOT NULL,
  id text NOT NULL,
  profile_id uuid NOT NULL,
  occurred_at timestamptz NOT NULL,
  properties jsonb NOT NULL DEFAULT '{}',
  -- List name -> array of flat objects, in file order.
  lists jsonb NOT NULL DEFAULT '{}',
  changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  PRIMARY KEY (event_type_id, id)
);
CREATE INDEX event_profile ON profile.event (profile_id, event_type_id, occurred_at);

CREATE TABLE profile.group_type (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  workspace_id integer NOT NULL REFERENCES profile.workspace,
  code text NOT NULL,
  -- Declared properties: an array of {name, type, list}.
  properties jsonb NOT NULL DEFAULT '[]',
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (workspace_id, code)
);

CREATE TABLE profile.group (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  group_type_id integer NOT NULL REFERENCES profile.group_type,
  key text NOT NULL,
  properties jsonb NOT NULL DEFAULT '{}',
  changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (group_type_id, key)
);
CREATE INDEX group_changed ON profile.group (group_type_id, changed_xid);

CREATE TABLE profile.group_member (
  profile_id uuid NOT NULL,
  group_id uuid NOT NULL,
  changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  PRIMARY KEY (profile_id, group_id)
);
CREATE INDEX group_member_group ON profile.group_member (group_id);
CREATE INDEX group_member_changed ON profile.group_member (changed_xid);

-- A product as the latest order line described it.
CREATE TABLE profile.product (
  workspace_id integer NOT NULL REFERENCES profile.workspace,
  id text NOT NULL,
  name text,
  properties jsonb NOT NULL DEFAULT '{}',
  -- When the order was made that described it last.
  described_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (workspace_id, id)
);

-- Which nested lists of events are order lines, and which of their properties say what was bought.
CREATE TABLE profile.product_list (
  event_type_id integer NOT NULL REFERENCES profile.event_type,
  list text NOT NULL,
  id_property text NOT NULL,
  name_property text,
  quantity_property text,
  PRIMARY KEY (event_type_id, list)
);

CREATE TABLE profile.segment (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  workspace_id integer NOT NULL REFERENCES profile.workspace,
  name text NOT NULL,
  -- The version whose memberships stand in profile.membership; null until the first build ended.
  current_version integer,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (workspace_id, name)
);

CREATE TABLE profile.segment_version (
  segment_id uuid NOT NULL REFERENCES profile.segment ON DELETE CASCADE,
  version integer NOT NULL,
  rule jsonb NOT NULL,
  state text NOT NULL CHECK (state IN ('building', 'current', 'retired')),
  -- The last profile id the build has passed, by hash partition.
  built_through uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (segment_id, version)
);
CREATE UNIQUE INDEX segment_version_building ON profile.segment_version (segment_id) WHERE state = 'building';

CREATE TABLE profile.membership (
  profile_id uuid NOT NULL,
  segment_id uuid NOT NULL,
  status text NOT NULL CHECK (status IN ('realized', 'exited')),
  -- The last change of state.
  qualified_at timestamptz NOT NULL DEFAULT now(),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  PRIMARY KEY (profile_id, segment_id)
);
CREATE INDEX membership_changed ON profile.membership (segment_id, changed_xid);

CREATE TABLE profile.lifecycle (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  workspace_id integer NOT NULL REFERENCES profile.workspace,
  name text NOT NULL,
  -- From the first to the last: an array of {name, segmentId}.
  stages jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (workspace_id, name)
);

-- Memberships of a segment version under construction, kept by writers and the build alike.
CREATE TABLE profile.membership_build (
  profile_id uuid NOT NULL,
  segment_id uuid NOT NULL,
  realized boolean NOT NULL,
  -- When the passing of time alone may change it; may be past when the version comes into force.
  check_at timestamptz,
  PRIMARY KEY (segment_id, profile_id)
);

-- When the passing of time alone may change a membership.
CREATE TABLE profile.membership_timer (
  profile_id uuid NOT NULL,
  segment_id uuid NOT NULL,
  check_at timestamptz NOT NULL,
  PRIMARY KEY (profile_id, segment_id)
);
CREATE INDEX membership_timer_due ON profile.membership_timer (check_at);

-- What active stream goals read: writers make outbox rows only for workspaces named here.
CREATE TABLE profile.stream_target (
  goal_id uuid PRIMARY KEY,
  workspace_id integer NOT NULL,
  property_ids integer[] NOT NULL DEFAULT '{}',
  -- False: writing a mapped property's value over itself also counts.
  suppress_same_value boolean NOT NULL DEFAULT false
);

CREATE TABLE profile.outbox (
  id bigint GENERATED ALWAYS AS IDENTITY,
  lane smallint NOT NULL,
  workspace_id integer NOT NULL,
  profile_id uuid NOT NULL,
  version bigint NOT NULL,
  -- Property ids, the same value included / really changed.
  written integer[] NOT NULL DEFAULT '{}',
  changed integer[] NOT NULL DEFAULT '{}',
  segments uuid[] NOT NULL DEFAULT '{}',
  identities boolean NOT NULL DEFAULT false,
  consent boolean NOT NULL DEFAULT false,
  -- The profile was erased: what streams must still be told of it, {version, identities: [[namespace id, value]], memberships:
  -- [[segment id, '+' or '-', epoch milliseconds]]}.
  erased jsonb,
  occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (lane, id)
);

CREATE TABLE profile.tombstone (
  profile_id uuid PRIMARY KEY,
  workspace_id integer NOT NULL,
  domain_group_id integer NOT NULL,
  version bigint NOT NULL,
  identity_hashes text[] NOT NULL DEFAULT '{}',
  -- Those it was ever in: who exports them is told that it is gone.
  segment_ids uuid[] NOT NULL DEFAULT '{}',
  changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  erased_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tombstone_changed ON profile.tombstone (workspace_id, changed_xid);
CREATE INDEX tombstone_erased ON profile.tombstone (workspace_id, erased_at);

-- Export goals whose receivers know profiles by more than their id, and are told of the erased.
CREATE TABLE profile.erasure_reader (
  goal_id uuid PRIMARY KEY,
  workspace_id integer NOT NULL,
  segment_ids uuid[] NOT NULL,
  namespace_ids integer[] NOT NULL,
  -- X25519: what is closed with it, only the service that writes the goal's files opens.
  public_key bytea NOT NULL,
  registered_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX erasure_reader_workspace ON profile.erasure_reader (workspace_id);

-- The identities of an erased profile, sealed, until the goal's receiver is told of it.
CREATE TABLE profile.last_words (
  goal_id uuid NOT NULL REFERENCES profile.erasure_reader ON DELETE CASCADE,
  profile_id uuid NOT NULL REFERENCES profile.tombstone ON DELETE CASCADE,
  sealed text NOT NULL,
  PRIMARY KEY (goal_id, profile_id)
);
CREATE INDEX last_words_profile ON profile.last_words (profile_id);

CREATE FUNCTION profile.lane(profile_id uuid) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN (get_byte(uuid_send(profile_id), 15))::smallint;

-- What a tombstone keeps of an identity: hashed with the key inside and outside, as in NMAC, in hex.
CREATE FUNCTION profile.identity_hash(key bytea, namespace_id integer, value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN encode(sha256(key || sha256(key || convert_to(namespace_id || ':' || value, 'UTF8'))), 'hex');

CREATE AGGREGATE profile.jsonb_merge(jsonb) (SFUNC = jsonb_concat, STYPE = jsonb, INITCOND = '{}');

-- Appends the values not yet in the list, in order. A missing list counts as empty, a single value as a list of one.
CREATE FUNCTION profile.append_unique(list jsonb, added jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT coalesce(jsonb_agg(value ORDER BY first), '[]'::jsonb)
  FROM (
    SELECT value, min(position) AS first
    FROM jsonb_array_elements(
      CASE WHEN list IS NULL THEN '[]'::jsonb WHEN jsonb_typeof(list) = 'array' THEN list ELSE jsonb_build_array(list) END || added
    ) WITH ORDINALITY AS element(value, position)
    GROUP BY value
  ) AS kept;
END;

-- Joins the arrays of both objects, key by key.
CREATE FUNCTION profile.join_lists(a jsonb, b jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT coalesce(a, '{}') || coalesce((
    SELECT jsonb_object_agg(key, coalesce(a->key, '[]') || value) FROM jsonb_each(coalesce(b, '{}')) AS added(key, value)
  ), '{}');
END;
CREATE AGGREGATE profile.merge_lists(jsonb) (SFUNC = profile.join_lists, STYPE = jsonb, INITCOND = '{}');

-- Adds the numbers of both objects, key by key.
CREATE FUNCTION profile.add_numbers(a jsonb, b jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT coalesce(a, '{}') || coalesce((
    SELECT jsonb_object_agg(key, coalesce((a->>key)::numeric, 0) + (value #>> '{}')::numeric) FROM jsonb_each(coalesce(b, '{}')) AS added(key, value)
  ), '{}');
END;
CREATE AGGREGATE profile.merge_sums(jsonb) (SFUNC = profile.add_numbers, STYPE = jsonb, INITCOND = '{}');
`);
  }

  async down(): Promise<void> {
    throw new Error('migrations only go forward: restore a backup instead');
  }
}
