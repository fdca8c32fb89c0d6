import { kinesisPolicy } from './kinesis-policy.js';

describe('kinesisPolicy', () => {
  it('lets streams be found anywhere and written to by name', () => {
    expect(kinesisPolicy('eu-west-1', ['b', 'a', 'b'])).toEqual({
      Version: '2012-10-17',
      Statement: [
        { Sid: 'FindStreams', Effect: 'Allow', Action: ['kinesis:ListStreams'], Resource: ['*'] },
        {
          Sid: 'WriteRecords',
          Effect: 'Allow',
          Action: ['kinesis:DescribeStreamSummary', 'kinesis:PutRecord', 'kinesis:PutRecords'],
          Resource: ['arn:aws:kinesis:eu-west-1:*:stream/a', 'arn:aws:kinesis:eu-west-1:*:stream/b'],
        },
      ],
    });
  });

  it('names the partition of the region', () => {
    const [, write] = kinesisPolicy('cn-north-1', ['s']).Statement;
    expect(write?.Resource).toEqual(['arn:aws-cn:kinesis:cn-north-1:*:stream/s']);
  });

  it('holds no empty statement where there is no stream yet', () => {
    expect(kinesisPolicy('us-east-1', []).Statement).toHaveLength(1);
  });
});
