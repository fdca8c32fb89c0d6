import { InputError, TransientError } from '@millrace/domain';
import { classifyAwsFault } from './fault.js';

const answer = (name: string, httpStatusCode: number) =>
  Object.assign(new Error('x'), { name, $metadata: { httpStatusCode } });
const socket = (code: string) => Object.assign(new Error('x'), { code });

describe('what a failed request means', () => {
  it.each([
    [answer('SignatureDoesNotMatch', 403), 'credentials'],
    [answer('CredentialsProviderError', 400), 'credentials'],
    [Object.assign(new Error('Could not load credentials'), { name: 'CredentialsProviderError' }), 'credentials'],
    [answer('AccessDenied', 403), 'access-denied'],
    [answer('AccessDeniedException', 400), 'access-denied'],
    [answer('UnknownError', 403), 'access-denied'],
    [answer('RequestTimeTooSkewed', 403), 'clock'],
    [answer('SlowDown', 503), 'busy'],
    [answer('InternalError', 500), 'busy'],
    [answer('UnknownError', 502), 'busy'],
    [answer('RequestTimeout', 400), 'busy'],
    [answer('OperationAborted', 409), 'busy'],
    [answer('NotImplemented', 501), 'refused'],
    [answer('NoSuchKey', 404), 'refused'],
    [answer('PermanentRedirect', 301), 'refused'],
    [answer('SyntaxError', 200), 'unintelligible'],
    [socket('ECONNREFUSED'), 'unreachable'],
    [socket('ENOTFOUND'), 'unreachable'],
    [socket('ECONNRESET'), 'unreachable'],
    [socket('ERR_TLS_CERT_ALTNAME_INVALID'), 'untrusted'],
    [socket('DEPTH_ZERO_SELF_SIGNED_CERT'), 'untrusted'],
    [socket('EPROTO'), 'untrusted'],
    [new TransientError('credentials-unavailable', 'x'), 'unreachable'],
    [new InputError('credentials-refused', 'x'), 'refused'],
    [new TypeError('x'), 'bug'],
    ['a string', 'bug'],
  ])('%s is %s', (error, kind) => {
    expect(classifyAwsFault(error).kind).toBe(kind);
  });

  it.each([
    [socket('ECONNRESET'), true],
    [Object.assign(new Error('timed out'), { name: 'TimeoutError' }), true],
    [Object.assign(new Error('Request aborted'), { name: 'AbortError' }), true],
    [answer('InternalFailure', 500), true],
    [socket('ECONNREFUSED'), false],
    [Object.assign(socket('ETIMEDOUT'), { syscall: 'connect' }), false],
    [
      Object.assign(new Error('the request socket did not establish a connection with the server'), {
        name: 'TimeoutError',
      }),
      false,
    ],
    [answer('ProvisionedThroughputExceededException', 400), false],
    [answer('SlowDown', 503), false],
  ])('after %s the request may have been carried out: %s', (error, maybeDone) => {
    expect(classifyAwsFault(error).maybeDone).toBe(maybeDone);
  });

  it('tells by the status what has no code', () => {
    expect(classifyAwsFault(answer('Error', 503))).toMatchObject({ code: 'HTTP 503', status: 503 });
  });

  it('waits longer after a throttle than after a fault', () => {
    expect(classifyAwsFault(answer('SlowDown', 503)).throttled).toBe(true);
    expect(classifyAwsFault(answer('InternalError', 500)).throttled).toBe(false);
  });

  it('repeats a request whose clock the SDK has corrected', () => {
    const error = Object.assign(answer('RequestTimeTooSkewed', 403), {
      $metadata: { httpStatusCode: 403, clockSkewCorrected: true },
    });
    expect(classifyAwsFault(error).kind).toBe('busy');
  });
});
