import 'reflect-metadata';
import type { Scope } from '@millrace/domain';
import type { z } from 'zod';

/** `any-key`: any valid key will do; `public`: none needed. */
export type Access = Scope | 'any-key' | 'public';

export interface Answer {
  readonly description: string;
  /** Absent: no body. */
  readonly schema?: z.ZodType;
  readonly contentType?: string;
}

/** Problem documents a route may answer with beside the usual ones, each with the reason. */
export type Problems = Readonly<Partial<Record<'404' | '409' | '413' | '502', string>>>;

/**
 * One route of the API: who may call it and what the OpenAPI document says of it. The guard reads the same object as the
 * document, and bodies, queries and parameters are taken from the schemas Nest validates with, so neither can drift.
 */
export interface Operation {
  /** Unique: the name of the call in generated clients. */
  readonly id: string;
  readonly tag: Tag;
  readonly summary: string;
  readonly description?: string;
  readonly access: Access;
  /** A second scope the caller must have. */
  readonly also?: Scope;
  /** What the document says of the body, where the route takes more than it recommends. */
  readonly body?: z.ZodType;
  /** Media type of the body; JSON where absent. */
  readonly bodyType?: string;
  readonly answer: Answer;
  readonly otherAnswers?: Readonly<Record<string, Answer>>;
  readonly problems?: Problems;
}

export const tags = {
  Workspaces: 'Tenants or brands: nothing crosses from one to another',
  Schema: 'Properties, identity namespaces, event types and group types of a workspace',
  Segments: 'Rules over profiles; membership is kept as profiles change',
  Governance: 'Labels on data, and policies that keep labelled data from marketing actions',
  Connections: 'A bucket or stream account and its secrets',
  Goals: 'What a connection does: import files, export segments, stream changes',
  Streams: 'What stream goals are doing, their dead letters, and how to pause and replay',
  Alerts: 'Who is told of failures, delays and recoveries, by mail and signed webhook',
  Runs: 'One execution of the goals of a connection',
  Profiles: 'Reading profiles and figures',
  Ingestion: 'Writing profiles, events and groups as JSON',
  'API keys': 'Who may call what',
  Documentation: 'This description',
} as const;
export type Tag = keyof typeof tags;

const operationKey = Symbol('millrace.operation');

export function operation(details: Operation): MethodDecorator {
  return (_target, _name, descriptor) => {
    Reflect.defineMetadata(operationKey, details, descriptor.value as object);
  };
}

/** The operation of a controller's handler; undefined for a handler that was never described. */
export function operationOf(handler: object): Operation | undefined {
  return Reflect.getMetadata(operationKey, handler) as Operation | undefined;
}
