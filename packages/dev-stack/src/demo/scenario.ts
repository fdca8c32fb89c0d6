import type { SegmentRule, Statistics } from './wire.js';

export interface SourceFile {
  /** On this machine. */
  readonly file: string;
  /** Below the import folder of the bucket. */
  readonly name: string;
}

/** A set of files and what the exchange makes of them. */
export interface Scenario {
  readonly workspace: string;
  readonly title: string;
  readonly bucket: string;
  readonly stream: string;
  readonly files: readonly SourceFile[];
  readonly properties: readonly { readonly name: string; readonly type?: string; readonly list?: boolean }[];
  readonly segments: readonly { readonly name: string; readonly rule: SegmentRule }[];
  /** Goal documents without the parts that every scenario has alike. */
  readonly importGoal: Readonly<Record<string, unknown>>;
  readonly exportSegment: string;
  readonly exportColumns: readonly { readonly header: string; readonly source: Readonly<Record<string, unknown>> }[];
  readonly streamProperties: readonly string[];
  /** What an empty store must hold afterwards, where the maker of the files knows. */
  readonly expected?: Pick<Statistics, 'profiles' | 'events' | 'eventLines'>;
}

export const importFolder = 'incoming';
export const exportFolder = 'exports';
