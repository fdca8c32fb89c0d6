-- Existing profiles changed from a CSV file over one connection: what a person who knows the schema would write by hand.
SET jit = off;
SET work_mem = '256MB';
CREATE UNLOGGED TABLE floor_staging (
  email text, customer_id text, first_name text, last_name text, street text, city text, postal_code text,
  country text, phone text, birthday text, score numeric, opt_in text
);
\copy floor_staging from ':file:' with (format csv, header true)
BEGIN;
CREATE UNLOGGED TABLE floor_found AS
SELECT i.profile_id AS id, to_jsonb(r) AS given
FROM floor_staging s
JOIN profile.identity i ON i.domain_group_id = :domain_group: AND i.namespace_id = :namespace: AND i.value = lower(trim(s.email))
CROSS JOIN LATERAL (
  SELECT s.customer_id AS "customerNumber", s.first_name AS "person.firstName", s.last_name AS "person.lastName", s.street AS "address.street",
    s.city AS "address.city", s.postal_code AS "address.postalCode", s.country AS "address.country", s.phone AS telephone,
    s.birthday, s.score, s.opt_in AS "optIn"
) r;
WITH updated AS (
  UPDATE profile.profile p
  SET properties = p.properties || f.given, version = p.version + 1, changed_xid = pg_current_xact_id(), updated_at = now()
  FROM floor_found f
  WHERE p.id = f.id AND p.properties || f.given IS DISTINCT FROM p.properties
  RETURNING p.id, new.version, old.properties AS before, new.properties AS after
)
INSERT INTO profile.outbox (lane, workspace_id, profile_id, version, written, changed)
SELECT profile.lane(u.id), :workspace:, u.id, u.version,
  ARRAY[:property_customerNumber:, :property_person.firstName:, :property_person.lastName:, :property_address.street:, :property_address.city:,
    :property_address.postalCode:, :property_address.country:, :property_telephone:, :property_birthday:, :property_score:, :property_optIn:],
  array_remove(ARRAY[
    CASE WHEN before->'customerNumber' IS DISTINCT FROM after->'customerNumber' THEN :property_customerNumber: END,
    CASE WHEN before->'person.firstName' IS DISTINCT FROM after->'person.firstName' THEN :property_person.firstName: END,
    CASE WHEN before->'person.lastName' IS DISTINCT FROM after->'person.lastName' THEN :property_person.lastName: END,
    CASE WHEN before->'address.street' IS DISTINCT FROM after->'address.street' THEN :property_address.street: END,
    CASE WHEN before->'address.city' IS DISTINCT FROM after->'address.city' THEN :property_address.city: END,
    CASE WHEN before->'address.postalCode' IS DISTINCT FROM after->'address.postalCode' THEN :property_address.postalCode: END,
    CASE WHEN before->'address.country' IS DISTINCT FROM after->'address.country' THEN :property_address.country: END,
    CASE WHEN before->'telephone' IS DISTINCT FROM after->'telephone' THEN :property_telephone: END,
    CASE WHEN before->'birthday' IS DISTINCT FROM after->'birthday' THEN :property_birthday: END,
    CASE WHEN before->'score' IS DISTINCT FROM after->'score' THEN :property_score: END,
    CASE WHEN before->'optIn' IS DISTINCT FROM after->'optIn' THEN :property_optIn: END], NULL)
FROM updated u;
COMMIT;
DROP TABLE floor_found, floor_staging;
