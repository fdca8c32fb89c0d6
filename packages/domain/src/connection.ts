import { z } from 'zod';
import { importGuardrails } from './import-guardrails.js';
import { marketingAction } from './policy.js';

/** Stored sealed and never shown again; absent in an update means "keep what is there". */
const secretText = z.string().min(1).max(65_536).meta({ writeOnly: true });

export const awsCredentials = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('default-chain') }),
  z.strictObject({
    kind: z.literal('access-key'),
    accessKeyId: z.string().min(1).max(128),
    secretAccessKey: secretText,
  }),
  z.strictObject({
    kind: z.literal('role'),
    roleArn: z.string().regex(/^arn:[^:]+:iam::\d{12}:role\/.+$/),
    externalId: z.string().min(2).max(1224).optional(),
  }),
]);
export type AwsCredentials = z.infer<typeof awsCredentials>;

const awsTarget = {
  region: z.string().min(1).max(64).default('us-east-1'),
  endpoint: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('Overrides the AWS endpoint, for compatible services'),
  credentials: awsCredentials,
};

/** Armored OpenPGP keys. The private key decrypts imports and signs exports; public keys encrypt exports and verify imports. */
export const pgpKeys = z.strictObject({
  privateKey: secretText.optional(),
  passphrase: secretText.optional(),
  recipients: z.array(z.string().min(1).max(65_536)).max(20).default([]),
  verifiers: z.array(z.string().min(1).max(65_536)).max(20).default([]),
});
export type PgpKeys = z.infer<typeof pgpKeys>;

/** What people consent to or not: the same names stand in the consent columns of imports and exports. */
export const consentObjective = z.string().min(1).max(64);
const consentObjectives = z
  .array(consentObjective)
  .max(100)
  .refine((objectives) => new Set(objectives).size === objectives.length, 'each objective may stand here once')
  .default([])
  .describe('Only profiles that consent to at least one of these are handled; empty: everyone');

const marketingActions = z
  .array(marketingAction)
  .max(50)
  .refine((actions) => new Set(actions).size === actions.length, 'each action may stand here once')
  .default([])
  .describe('What the receiver does with what leaves by this connection: policies may forbid that for labelled data');

/** Held for every export goal of a connection. */
export const exportGuardrails = z.strictObject({
  minExportIntervalMinutes: z
    .int()
    .min(1)
    .max(60 * 24 * 366)
    .optional()
    .describe('A goal delivered less than so long ago is left out of a run'),
  maxColumns: z.int().min(1).max(500).optional().describe('A goal with more cannot be saved'),
});

const common = {
  name: z.string().min(1).max(200),
  description: z.string().max(4000).default(''),
  active: z.boolean().default(true),
  consentObjectives,
  marketingActions,
};

export const s3Connection = z.strictObject({
  kind: z.literal('s3'),
  ...common,
  ...awsTarget,
  pgp: pgpKeys.optional(),
  guardrails: exportGuardrails.extend(importGuardrails.shape).prefault({}),
});
export type S3Connection = z.infer<typeof s3Connection>;

export const kinesisConnection = z.strictObject({ kind: z.literal('kinesis'), ...common, ...awsTarget });
export type KinesisConnection = z.infer<typeof kinesisConnection>;

export const connection = z.discriminatedUnion('kind', [s3Connection, kinesisConnection]);
export type Connection = z.infer<typeof connection>;
