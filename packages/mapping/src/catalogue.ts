import type { EventType, LifecycleDefinition, Normalisation, PropertyType, SegmentRule } from '@millrace/domain';

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

export interface CatalogueGroupType {
  readonly id: number;
  /** Those declared; groups made through the API may have others. */
  readonly properties: ReadonlyMap<string, CatalogueProperty>;
}

export interface CatalogueLifecycle {
  readonly id: string;
  readonly name: string;
  /** From the first to the last. */
  readonly stages: LifecycleDefinition['stages'];
}

export interface CatalogueDomainGroup {
  /** As rows name it. */
  readonly id: number;
  readonly name: string;
}

/** What one workspace has defined: names, types and numbers that mappings and rules refer to. */
export interface Catalogue {
  readonly workspaceId: number;
  /** The default one. */
  readonly domainGroupId: number;
  /** By the id the outside knows, in lower case; the default one among them. */
  readonly domainGroups: ReadonlyMap<string, CatalogueDomainGroup>;
  readonly properties: ReadonlyMap<string, CatalogueProperty>;
  readonly namespaces: ReadonlyMap<string, CatalogueNamespace>;
  readonly eventTypes: ReadonlyMap<string, CatalogueEventType>;
  readonly groupTypes: ReadonlyMap<string, CatalogueGroupType>;
  readonly segments: ReadonlyMap<string, CatalogueSegment>;
  /** By id. */
  readonly lifecycles: ReadonlyMap<string, CatalogueLifecycle>;
}
