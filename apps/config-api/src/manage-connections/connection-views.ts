import { awsCredentials, connection, permissionReport, pgpKeys } from '@millrace/domain';
import { z } from 'zod';
import type { ConnectionRow } from '../storage/entities.js';

export const newConnection = connection.meta({ id: 'NewConnection' });

const [defaultChain, accessKey, role] = awsCredentials.options;
const [s3, kinesis] = connection.options;

const credentialsChange = z.discriminatedUnion('kind', [
  defaultChain,
  accessKey.extend({ secretAccessKey: accessKey.shape.secretAccessKey.optional() }),
  role,
]);
const { privateKey, passphrase } = pgpKeys.shape;
const pgpChange = z.strictObject({
  privateKey: privateKey.nullable(),
  passphrase: passphrase.nullable(),
  recipients: pgpKeys.shape.recipients.unwrap().optional(),
  verifiers: pgpKeys.shape.verifiers.unwrap().optional(),
});

/** What a PATCH may hold: what is absent stays, null removes. Secrets left out stay as they are. */
export const connectionChange = z
  .strictObject({
    name: s3.shape.name.optional(),
    description: s3.shape.description.unwrap().optional(),
    active: s3.shape.active.unwrap().optional(),
    consentObjectives: s3.shape.consentObjectives.unwrap().optional(),
    marketingActions: s3.shape.marketingActions.unwrap().optional(),
    guardrails: s3.shape.guardrails.unwrap().optional().describe('Buckets only'),
    region: s3.shape.region.unwrap().optional(),
    endpoint: s3.shape.endpoint.nullable(),
    credentials: credentialsChange
      .optional()
      .describe('The secret may be left out only while the access key id stays the same'),
    pgp: pgpChange.nullable().optional().describe('A new private key without a passphrase drops the old passphrase'),
  })
  .meta({ id: 'ConnectionChange' });
export type ConnectionChange = z.infer<typeof connectionChange>;

const credentialsView = z.discriminatedUnion('kind', [
  defaultChain,
  accessKey.omit({ secretAccessKey: true }).extend({ hasSecretAccessKey: z.boolean() }),
  role,
]);
const pgpView = z.object({
  hasPrivateKey: z.boolean(),
  hasPassphrase: z.boolean(),
  recipients: z.array(z.string()),
  verifiers: z.array(z.string()),
});
const stored = {
  id: z.uuid(),
  credentials: credentialsView,
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
};

/** A connection as anyone may see it: markers stand where the secrets were. */
export const connectionView = z
  .discriminatedUnion('kind', [s3.extend({ ...stored, pgp: pgpView.optional() }), kinesis.extend(stored)])
  .meta({ id: 'Connection' });
export type ConnectionView = z.infer<typeof connectionView>;

export function viewOfConnection(row: ConnectionRow): ConnectionView {
  const { document } = row;
  const { credentials } = document;
  const shown = {
    id: row.id,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
    credentials:
      credentials.kind === 'access-key'
        ? { kind: credentials.kind, accessKeyId: credentials.accessKeyId, hasSecretAccessKey: true }
        : credentials,
  };
  if (document.kind === 'kinesis') return { ...document, ...shown };
  const { pgp, ...open } = document;
  if (pgp === undefined) return { ...open, ...shown };
  const { recipients, verifiers } = pgp;
  return {
    ...open,
    ...shown,
    pgp: {
      hasPrivateKey: pgp.privateKey !== undefined,
      hasPassphrase: pgp.passphrase !== undefined,
      recipients,
      verifiers,
    },
  };
}

export const connectionTest = z
  .strictObject({
    target: z
      .string()
      .min(1)
      .max(255)
      .optional()
      .describe('A bucket or stream; absent: those of the goals of the connection'),
    directory: z.string().max(900).default('').describe('Buckets only: the folder to try out'),
    needs: z.enum(['import', 'export']).default('import').describe('Buckets only'),
  })
  .prefault({})
  .meta({ id: 'ConnectionTest' });
export type ConnectionTest = z.infer<typeof connectionTest>;

export const connectionCheck = z.object({
  target: z.string(),
  needs: z.enum(['import', 'export', 'stream']),
  ok: z.boolean(),
  permissions: permissionReport.optional().describe('What is granted, missing or could not be found out'),
  shards: z.int().optional().describe('Streams: open shards'),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
});

export const connectionTestResult = z
  .object({ ok: z.boolean(), checks: z.array(connectionCheck) })
  .meta({ id: 'ConnectionTestResult' });
export type ConnectionTestResult = z.infer<typeof connectionTestResult>;
