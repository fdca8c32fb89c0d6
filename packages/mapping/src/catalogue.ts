import type { EventType, Normalisation, PropertyType, SegmentRule } from '@millrace/domain';

export interface CatalogueProperty {
  readonly id: number;
  readonly name: string;
  readonly type: PropertyType;
  readonly list: boolean;
}

export interface CatalogueNamespace {
  readonly id: number;
  readonly code: string;
  readonly normalisation: Normalisation;
}

export interface CatalogueEventType {
  readonly id: number;
  readonly definition: EventType;
}

export interface CatalogueSegment {
  readonly id: string;
  readonly name: string;
  /** The versions writers keep: the current one, and the one under construction. */
  readonly versions: readonly {
    readonly version: number;
    readonly state: 'building' | 'current';
    readonly rule: SegmentRule;
  }[];
}

/** What one workspace has defined: names, types and numbers that mappings and rules refer to. */
export interface Catalogue {
  readonly workspaceId: number;
  readonly domainGroupId: number;
  readonly properties: ReadonlyMap<string, CatalogueProperty>;
  readonly namespaces: ReadonlyMap<string, CatalogueNamespace>;
  readonly eventTypes: ReadonlyMap<string, CatalogueEventType>;
  readonly groupTypes: ReadonlyMap<string, number>;
  readonly segments: ReadonlyMap<string, CatalogueSegment>;
}
