import { sql, type Executor } from '@millrace/database';
import {
  InputError,
  type EventType,
  type GroupProperty,
  type Normalisation,
  type PropertyType,
  type SegmentRule,
} from '@millrace/domain';
import type { Catalogue, CatalogueGroupType, CatalogueLifecycle, CatalogueSegment } from '@millrace/mapping';

interface CatalogueDocument {
  readonly domainGroupId: number;
  readonly domainGroups: readonly { uuid: string; id: number; name: string }[];
  readonly properties: readonly { id: number; name: string; type: PropertyType; list: boolean }[];
  readonly namespaces: readonly { id: number; code: string; normalisation: Normalisation }[];
  readonly eventTypes: readonly { id: number; code: string; definition: EventType }[];
  readonly groupTypes: readonly { id: number; code: string; properties: readonly GroupProperty[] }[];
  readonly lifecycles: readonly CatalogueLifecycle[];
  readonly segments: readonly {
    id: string;
    name: string;
    versions: { version: number; state: 'building' | 'current'; rule: SegmentRule }[];
  }[];
}

/** Everything mappings and rules of a workspace refer to, in one round trip. InputError('workspace-not-found'). */
export async function loadCatalogue(executor: Executor, workspaceId: number): Promise<Catalogue> {
  const { rows } = await executor.query<{ document: string }>(sql`
    SELECT jsonb_build_object(
      'domainGroupId', (SELECT id FROM profile.domain_group WHERE workspace_id = w.id AND is_default),
      'domainGroups', (SELECT jsonb_agg(jsonb_build_object('uuid', public_id, 'id', id, 'name', name)) FROM profile.domain_group WHERE workspace_id = w.id),
      'properties', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'name', name, 'type', type, 'list', is_list)), '[]')
                     FROM profile.property WHERE workspace_id = w.id),
      'namespaces', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'code', code, 'normalisation', normalisation)), '[]')
                     FROM profile.identity_namespace WHERE workspace_id = w.id),
      'eventTypes', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'code', code, 'definition', definition)), '[]')
                     FROM profile.event_type WHERE workspace_id = w.id),
      'groupTypes', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'code', code, 'properties', properties)), '[]')
                     FROM profile.group_type WHERE workspace_id = w.id),
      'lifecycles', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'name', name, 'stages', stages) ORDER BY name), '[]')
                     FROM profile.lifecycle WHERE workspace_id = w.id),
      'segments', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'name', s.name, 'versions', v.versions) ORDER BY s.id), '[]')
                   FROM profile.segment s
                   CROSS JOIN LATERAL (
                     SELECT coalesce(jsonb_agg(jsonb_build_object('version', version, 'state', state, 'rule', rule) ORDER BY version), '[]') AS versions
                     FROM profile.segment_version WHERE segment_id = s.id AND state <> 'retired'
                   ) v
                   WHERE s.workspace_id = w.id)
    ) AS document
    FROM profile.workspace w WHERE w.id = ${workspaceId}`);
  const found = rows[0];
  if (found === undefined) throw new InputError('workspace-not-found', `there is no workspace ${workspaceId}`);
  const document = JSON.parse(found.document) as CatalogueDocument;
  return {
    workspaceId,
    domainGroupId: document.domainGroupId,
    domainGroups: new Map(document.domainGroups.map(({ uuid, id, name }) => [uuid, { id, name }])),
    properties: new Map(document.properties.map((property) => [property.name, property])),
    namespaces: new Map(document.namespaces.map((namespace) => [namespace.code, namespace])),
    eventTypes: new Map(document.eventTypes.map(({ id, code, definition }) => [code, { id, definition }])),
    groupTypes: new Map(
      document.groupTypes.map(({ id, code, properties }): [string, CatalogueGroupType] => [
        code,
        { id, properties: new Map(properties.map((property, index) => [property.name, { id: index, ...property }])) },
      ]),
    ),
    lifecycles: new Map(document.lifecycles.map((lifecycle) => [lifecycle.id, lifecycle])),
    segments: new Map(document.segments.map((segment): [string, CatalogueSegment] => [segment.id, segment])),
  };
}
