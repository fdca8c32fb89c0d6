import { workspace } from '@millrace/domain';
import { z } from 'zod';

/** What may stand in a path, by name. Routes and the OpenAPI document share them. */
export const pathParameters = {
  workspace: workspace.shape.name.describe('Name of the workspace'),
  connectionId: z.uuid().describe('Id of the connection'),
  goalId: z.uuid().describe('Id of the goal'),
  alertId: z.uuid().describe('Id of the alert'),
  deliveryId: z.uuid().describe('Id of the message of an alert'),
  replayId: z.uuid().describe('Id of the replay'),
  runId: z.uuid().describe('Id of the run'),
  segmentId: z.uuid().describe('Id of the segment'),
  domainGroupId: z.uuid().describe('Id of the domain group'),
  lifecycleId: z.uuid().describe('Id of the lifecycle'),
  productId: z.string().min(1).max(512).describe('Id of the product'),
  policyId: z.uuid().describe('Id of the policy'),
  profileId: z.uuid().describe('Id of the profile'),
  keyId: z.uuid().describe('Id of the API key'),
  eventType: z.string().min(1).max(64).describe('Code of the event type'),
  groupType: z.string().min(1).max(64).describe('Code of the group type; a new one is made on first use'),
  asset: z.string().describe('A file of the documentation page'),
  groupKey: z.string().min(1).max(512).describe('Key of the group inside its type'),
} as const;
