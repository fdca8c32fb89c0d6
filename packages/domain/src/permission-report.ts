import { z } from 'zod';

/** What one probe of a bucket or stream found out about one permission. */
export const permissionFinding = z.object({
  permission: z.string().describe('As an IAM policy names it: `s3:GetObject`'),
  status: z
    .enum(['granted', 'missing', 'unverified'])
    .describe('`unverified`: the service has no way to try it without effect'),
  required: z.boolean().describe('False: needed only by an option, such as marking imported files as done'),
  probe: z.string().describe('The request that was made to find out'),
  detail: z.string().optional(),
});
export type PermissionFinding = z.infer<typeof permissionFinding>;

/** The answer of a connection test. */
export const permissionReport = z.object({
  resource: z.string().describe('The bucket or stream'),
  findings: z.array(permissionFinding),
  missing: z.array(z.string()).describe('Required permissions that are refused; empty: the connection can work'),
});
export type PermissionReport = z.infer<typeof permissionReport>;

export function reportPermissions(resource: string, findings: PermissionFinding[]): PermissionReport {
  const missing = findings.filter((finding) => finding.required && finding.status === 'missing');
  return { resource, findings, missing: missing.map((finding) => finding.permission) };
}
