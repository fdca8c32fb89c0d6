import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sdkCredentials } from './credentials.js';

const roleArn = 'arn:aws:iam::123456789012:role/millrace';

/** A token service that answers as told, and what it was asked. */
let server: Server;
let answer: { status: number; body: string };
let asked: URLSearchParams[];
const saved = { ...process.env };

beforeAll(async () => {
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      asked.push(new URLSearchParams(body));
      response.writeHead(answer.status, { 'content-type': 'text/xml' }).end(answer.body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  Object.assign(process.env, {
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    AWS_ENDPOINT_URL_STS: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    AWS_ACCESS_KEY_ID: 'BASE',
    AWS_SECRET_ACCESS_KEY: 'base-secret',
    AWS_MAX_ATTEMPTS: '1',
  });
});
beforeEach(() => {
  asked = [];
});
afterAll(async () => {
  process.env = saved;
  await new Promise((resolve) => server.close(resolve));
});

const granted = `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
  <Credentials><AccessKeyId>ASSUMED</AccessKeyId><SecretAccessKey>assumed-secret</SecretAccessKey><SessionToken>token</SessionToken>
  <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><Arn>${roleArn}</Arn><AssumedRoleId>x:millrace</AssumedRoleId></AssumedRoleUser>
</AssumeRoleResult></AssumeRoleResponse>`;
const refused =
  '<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>planted</Message></Error></ErrorResponse>';

async function assume(externalId?: string): Promise<{ accessKeyId: string }> {
  const provider = sdkCredentials({ kind: 'role', roleArn, externalId }, 'eu-west-1');
  if (typeof provider !== 'function') throw new Error('a role needs a provider');
  return await provider();
}

describe('credentials', () => {
  it('passes an access key on, and leaves the default chain to the SDK', () => {
    expect(sdkCredentials({ kind: 'access-key', accessKeyId: 'A', secretAccessKey: 'B' }, 'eu-west-1')).toEqual({
      accessKeyId: 'A',
      secretAccessKey: 'B',
    });
    expect(sdkCredentials({ kind: 'default-chain' }, 'eu-west-1')).toBeUndefined();
  });

  it('assumes a role with its external id', async () => {
    answer = { status: 200, body: granted };
    expect(await assume('ext-42')).toMatchObject({ accessKeyId: 'ASSUMED', sessionToken: 'token' });
    expect(Object.fromEntries(asked[0] ?? [])).toMatchObject({
      Action: 'AssumeRole',
      RoleArn: roleArn,
      ExternalId: 'ext-42',
      RoleSessionName: 'millrace',
    });
  });

  it('assumes a role without an external id', async () => {
    answer = { status: 200, body: granted };
    await assume();
    expect(asked[0]?.has('ExternalId')).toBe(false);
  });

  it('names the role that may not be assumed', async () => {
    answer = { status: 403, body: refused };
    await expect(assume('wrong')).rejects.toMatchObject({
      name: 'InputError',
      code: 'credentials-refused',
      message: expect.stringContaining(roleArn),
    });
  });

  it('takes a token service that is down for a passing fault', async () => {
    answer = { status: 503, body: refused.replace('AccessDenied', 'ServiceUnavailable') };
    await expect(assume()).rejects.toMatchObject({ name: 'TransientError', code: 'credentials-unavailable' });
  });
});
