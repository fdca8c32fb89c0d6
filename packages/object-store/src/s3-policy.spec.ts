import { s3Policy } from './s3-policy.js';

describe('s3Policy', () => {
  it('lets an import list and read its folder only', () => {
    expect(s3Policy('eu-west-1', [{ bucket: 'b', directory: 'in/new', does: 'import' }])).toEqual({
      Version: '2012-10-17',
      Statement: [
        { Sid: 'Bucket1', Effect: 'Allow', Action: ['s3:ListBucket'], Resource: ['arn:aws:s3:::b'] },
        { Sid: 'Objects1', Effect: 'Allow', Action: ['s3:GetObject'], Resource: ['arn:aws:s3:::b/in/new/*'] },
      ],
    });
  });

  it('adds what marking or deleting imported files needs', () => {
    const use = { bucket: 'b', directory: '', does: 'import' } as const;
    const actions = (afterImport: 'delete' | 'done-suffix'): readonly string[] | undefined =>
      s3Policy('eu-west-1', [{ ...use, afterImport }]).Statement[1]?.Action;
    expect(actions('delete')).toEqual(['s3:DeleteObject', 's3:GetObject']);
    expect(actions('done-suffix')).toEqual(['s3:DeleteObject', 's3:GetObject', 's3:PutObject']);
  });

  it('lets an export write, complete and clean up, and joins what several goals do in one place', () => {
    const { Statement } = s3Policy('cn-north-1', [
      { bucket: 'b', directory: 'x', does: 'import' },
      { bucket: 'b', directory: 'x', does: 'export' },
    ]);
    expect(Statement).toEqual([
      {
        Sid: 'Bucket1',
        Effect: 'Allow',
        Action: ['s3:GetBucketLocation', 's3:ListBucket', 's3:ListBucketMultipartUploads'],
        Resource: ['arn:aws-cn:s3:::b'],
      },
      {
        Sid: 'Objects1',
        Effect: 'Allow',
        Action: [
          's3:AbortMultipartUpload',
          's3:DeleteObject',
          's3:GetObject',
          's3:ListMultipartUploadParts',
          's3:PutObject',
        ],
        Resource: ['arn:aws-cn:s3:::b/x/*'],
      },
    ]);
  });
});
