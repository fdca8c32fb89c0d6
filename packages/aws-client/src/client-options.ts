import http from 'node:http';
import https from 'node:https';
import type { AwsCredentials } from '@millrace/domain';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { sdkCredentials, type SdkCredentials } from './credentials.js';

/** Where a bucket or stream lives and who asks. `endpoint` overrides AWS's own, for compatible services. */
export interface AwsTarget {
  readonly region: string;
  readonly endpoint?: string | undefined;
  readonly credentials: AwsCredentials;
}

export interface ConnectionLimits {
  /** Sockets open at once, and so requests in flight. */
  readonly maxSockets?: number;
  /** A connection that is not made within this time is given up. */
  readonly connectTimeoutMs?: number;
  /** A request whose socket moves no byte for this long is given up. */
  readonly idleTimeoutMs?: number;
}

export interface AwsClientOptions {
  readonly region: string;
  readonly endpoint?: string;
  readonly credentials?: SdkCredentials;
  readonly requestHandler: NodeHttpHandler;
}

/** Constructor options shared by every AWS client, which then goes through `withoutSdkRetries`. Its `destroy()` closes the sockets. */
export function awsClientOptions(target: AwsTarget, limits: ConnectionLimits = {}): AwsClientOptions {
  silenceNodeVersionWarning();
  const credentials = sdkCredentials(target.credentials, target.region);
  const agent = { keepAlive: true, maxSockets: limits.maxSockets ?? 50 };
  return {
    region: target.region,
    ...(target.endpoint === undefined ? {} : { endpoint: target.endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
    // HTTP/1 for Kinesis too, whose client would choose HTTP/2: compatible services speak HTTP/1 only.
    requestHandler: new NodeHttpHandler({
      httpAgent: new http.Agent(agent),
      httpsAgent: new https.Agent(agent),
      connectionTimeout: limits.connectTimeoutMs ?? 5_000,
      socketTimeout: limits.idleTimeoutMs ?? 60_000,
      logger: quiet,
    }),
  };
}

interface RetryingClient {
  readonly middlewareStack: {
    add(
      middleware: <Next>(next: Next) => Next,
      options: { name: string; step: 'finalizeRequest'; priority: 'high'; override: true },
    ): void;
  };
}

/**
 * Takes the SDK's own retry out of a client: the packages retry by themselves, because they know what may be sent
 * twice, and its wrapper hides the codes of socket errors that were made in another realm, as in every test. What
 * replaces it keeps its name, because others are placed by it.
 */
export function withoutSdkRetries<Client extends RetryingClient>(client: Client): Client {
  client.middlewareStack.add((next) => next, {
    name: 'retryMiddleware',
    step: 'finalizeRequest',
    priority: 'high',
    override: true,
  });
  return client;
}

/**
 * The SDK warns through `process.emitWarning`, once per process, that releases after January 2027 need Node 22. The
 * versions used here are pinned and run on Node 20; the warning would reach operators who can do nothing about it, and
 * the variable is the only switch the SDK has. It must be set before the first client of the process is made.
 */
function silenceNodeVersionWarning(): void {
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
}

const ignore = () => {};
/** The handler's own remarks (sockets all in use) would go to the console, between the JSON lines of the log. */
const quiet = { debug: ignore, info: ignore, warn: ignore, error: ignore };
