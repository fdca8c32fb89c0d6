import { connection, type Connection } from '@millrace/domain';
import { changeConnection } from './change-connection.js';
import { connectionChange } from './connection-views.js';

const s3 = connection.parse({
  kind: 's3',
  name: 'Bucket',
  endpoint: 'https://s3.example.org',
  credentials: { kind: 'access-key', accessKeyId: 'AK1', secretAccessKey: 'secret-1' },
  pgp: { privateKey: 'private-1', passphrase: 'pass-1', recipients: ['public-1'] },
});
const change = (patch: unknown, current: Connection = s3): Connection =>
  changeConnection(current, connectionChange.parse(patch));

describe('changeConnection', () => {
  it('keeps what is left out', () => {
    expect(change({ name: 'Other' })).toEqual({ ...s3, name: 'Other' });
  });

  it('keeps the secret of the same access key', () => {
    expect(change({ credentials: { kind: 'access-key', accessKeyId: 'AK1' } }).credentials).toEqual(s3.credentials);
  });

  it('asks for the secret of a new access key', () => {
    expect(() => change({ credentials: { kind: 'access-key', accessKeyId: 'AK2' } })).toThrow('needs its secret');
  });

  it('takes a new secret', () => {
    const credentials = { kind: 'access-key', accessKeyId: 'AK1', secretAccessKey: 'secret-2' };
    expect(change({ credentials }).credentials).toEqual(credentials);
  });

  it('removes the endpoint by null', () => {
    expect(change({ endpoint: null })).not.toHaveProperty('endpoint');
  });

  it('removes the PGP keys by null', () => {
    expect(change({ pgp: null })).not.toHaveProperty('pgp');
  });

  it('changes recipients and keeps the private key with its passphrase', () => {
    expect(change({ pgp: { recipients: ['public-2'] } })).toHaveProperty('pgp', {
      privateKey: 'private-1',
      passphrase: 'pass-1',
      recipients: ['public-2'],
      verifiers: [],
    });
  });

  it('drops the passphrase of a private key that is replaced', () => {
    expect(change({ pgp: { privateKey: 'private-2' } })).toHaveProperty('pgp', {
      privateKey: 'private-2',
      recipients: ['public-1'],
      verifiers: [],
    });
  });

  it('drops the passphrase with the private key', () => {
    expect(change({ pgp: { privateKey: null } })).toHaveProperty('pgp', { recipients: ['public-1'], verifiers: [] });
  });

  it('refuses PGP keys on a stream', () => {
    const kinesis = connection.parse({ kind: 'kinesis', name: 'Stream', credentials: { kind: 'default-chain' } });
    expect(() => change({ pgp: { recipients: ['p'] } }, kinesis)).toThrow('carry files');
  });
});

it('refuses fields a connection does not have, the kind among them', () => {
  expect(connectionChange.safeParse({ kind: 'kinesis' }).success).toBe(false);
  expect(connectionChange.safeParse({ colour: 'red' }).success).toBe(false);
});
