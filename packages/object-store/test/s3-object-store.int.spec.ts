import { awsAccess, createTestBucket } from '@millrace/testing';
import { createS3ObjectStore, type S3ObjectStoreOptions } from '../src/s3-object-store.js';
import { objectStoreContract } from '../src/object-store.contract.js';

const partBytes = 256 * 1024;

function options(): S3ObjectStoreOptions {
  const { endpoint, region, accessKeyId, secretAccessKey } = awsAccess('s3');
  return {
    endpoint,
    region,
    credentials: { kind: 'access-key', accessKeyId, secretAccessKey },
    smallestPartBytes: partBytes,
  };
}

objectStoreContract('the S3 driver', async () => {
  const { bucket } = await createTestBucket('contract');
  return { store: createS3ObjectStore({ ...options(), pageSize: 3 }), bucket, partBytes };
});
