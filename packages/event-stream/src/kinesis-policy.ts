import type { IamPolicy } from '@millrace/domain';

/** What an identity needs to write to these streams, and no more: ready to paste into IAM. */
export function kinesisPolicy(region: string, streams: readonly string[]): IamPolicy {
  const names = [...new Set(streams)].sort();
  // China and GovCloud have partitions of their own: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
  const partition = region.startsWith('cn-') ? 'aws-cn' : region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
  const find = { Sid: 'FindStreams', Effect: 'Allow', Action: ['kinesis:ListStreams'], Resource: ['*'] } as const;
  if (names.length === 0) return { Version: '2012-10-17', Statement: [find] };
  return {
    Version: '2012-10-17',
    Statement: [
      find,
      {
        Sid: 'WriteRecords',
        Effect: 'Allow',
        Action: ['kinesis:DescribeStreamSummary', 'kinesis:PutRecord', 'kinesis:PutRecords'],
        Resource: names.map((name) => `arn:${partition}:kinesis:${region}:*:stream/${name}`),
      },
    ],
  };
}
