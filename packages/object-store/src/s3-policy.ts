import type { IamPolicy } from '@millrace/domain';

/** What one goal does in a bucket. */
export interface BucketUse {
  readonly bucket: string;
  /** Folder, without slashes at its ends; empty: the whole bucket. */
  readonly directory: string;
  readonly does: 'import' | 'export';
  /** Imports: what becomes of a file that was imported. */
  readonly afterImport?: 'leave' | 'delete' | 'done-suffix';
}

const objectActions = {
  import: ['s3:GetObject'],
  // The mark is a copy that is checked before the original goes.
  'done-suffix': ['s3:GetObject', 's3:PutObject', 's3:DeleteObject'],
  delete: ['s3:GetObject', 's3:DeleteObject'],
  export: ['s3:PutObject', 's3:DeleteObject', 's3:AbortMultipartUpload', 's3:ListMultipartUploadParts'],
} as const;

/** What an identity needs for these uses of buckets, and no more: ready to paste into IAM. */
export function s3Policy(region: string, uses: readonly BucketUse[]): IamPolicy {
  // China and GovCloud have partitions of their own: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
  const partition = region.startsWith('cn-') ? 'aws-cn' : region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
  const arn = (path: string): string => `arn:${partition}:s3:::${path}`;
  const buckets = new Map<string, Set<string>>();
  const objects = new Map<string, Set<string>>();
  for (const { bucket, directory, does, afterImport } of uses) {
    const onBucket =
      does === 'import'
        ? ['s3:ListBucket']
        : ['s3:ListBucket', 's3:GetBucketLocation', 's3:ListBucketMultipartUploads'];
    const onObjects =
      does === 'export'
        ? objectActions.export
        : objectActions[afterImport === undefined || afterImport === 'leave' ? 'import' : afterImport];
    add(buckets, arn(bucket), onBucket);
    add(objects, arn(directory === '' ? `${bucket}/*` : `${bucket}/${directory}/*`), onObjects);
  }
  return { Version: '2012-10-17', Statement: [...statements('Bucket', buckets), ...statements('Objects', objects)] };
}

function add(to: Map<string, Set<string>>, resource: string, actions: readonly string[]): void {
  to.set(resource, new Set([...(to.get(resource) ?? []), ...actions]));
}

function statements(name: string, resources: ReadonlyMap<string, ReadonlySet<string>>): IamPolicy['Statement'] {
  return [...resources]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([resource, actions], index) => ({
      Sid: `${name}${index + 1}`,
      Effect: 'Allow',
      Action: [...actions].sort(),
      Resource: [resource],
    }));
}
