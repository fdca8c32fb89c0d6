import type { StreamGoal } from '@millrace/domain';
import type { EventStream } from '@millrace/event-stream';
import type { ProfileState, RecordCatalogue, RecordTemplate } from '../build-record/record-template.js';
import { compileRecordTemplate } from '../build-record/record-template.js';
import type { GoalToSend } from '../storage/goals.js';
import type { StoredCatalogue } from '../storage/record-catalogues.js';

/** A stream goal, ready to send: its mapping compiled, its stream opened. */
export interface SendingGoal extends GoalToSend {
  readonly goal: StreamGoal;
  readonly stream: EventStream;
  readonly mappedSegments: ReadonlySet<string>;
  readonly catalogue: StoredCatalogue;
  readonly template: RecordTemplate;
  readonly partitionKey: (state: ProfileState) => string;
  /** What is read of a profile; the same object for goals that can share the reading. */
  readonly attributes: ReadAttributes;
}

/** The properties read of each profile, and where each stands in `ProfileState.attributes`. */
interface ReadAttributes {
  readonly properties: readonly string[];
  /** Whether a goal asks for the profiles' consent. */
  readonly consent: boolean;
  readonly attributeIndex: ReadonlyMap<string, number>;
}

export function compileSendingGoal(
  row: GoalToSend,
  goal: StreamGoal,
  stream: EventStream,
  catalogue: StoredCatalogue,
  attributes: ReadAttributes,
): SendingGoal {
  return {
    ...row,
    goal,
    stream,
    mappedSegments: new Set(goal.segmentIds),
    catalogue,
    template: compileRecordTemplate(goal, attributes.attributeIndex, catalogue),
    attributes,
    partitionKey: compilePartitionKey(goal, catalogue),
  };
}

/** The profile id, or the profile's first identity (by value) of the chosen namespace; the id again where it has none. */
export function compilePartitionKey(
  { partitionKey }: StreamGoal,
  catalogue: RecordCatalogue,
): (state: ProfileState) => string {
  if (partitionKey.kind === 'profile-id') return (state) => state.profileId;
  return (state) => {
    const identity = state.identities.find(
      ({ namespaceId }) => catalogue.namespace(namespaceId) === partitionKey.namespace,
    );
    return identity === undefined ? state.profileId : (JSON.parse(identity.valueJson) as string);
  };
}
