import type { FaultRule } from '@millrace/testing';
import type { Exchange } from './exchange.js';
import { exportFolder, importFolder } from './exchange-goals.js';

type When = FaultRule['when'];

/** The importer asks for the content of one of its files. */
export function reading({ bucket }: Exchange, name: string): When {
  return ({ method, path }) => method === 'GET' && path.startsWith(`/${bucket}/${importFolder}/${name}`);
}

/** The exporter sends a piece of a file. */
export function uploading({ bucket }: Exchange): When {
  return ({ method, path }) => method === 'PUT' && inExports(bucket, path) && path.includes('partNumber=');
}

/** The exporter makes a file visible. */
export function completing({ bucket }: Exchange): When {
  return ({ method, path }) => method === 'POST' && inExports(bucket, path) && path.includes('uploadId=');
}

/** The exporter makes the manifest visible. */
export function writingManifest(exchange: Exchange): When {
  const isCompletion = completing(exchange);
  return (request) => isCompletion(request) && /\.json(\?|$)/.test(request.path);
}

/** The publisher sends records. */
export function puttingRecords({ stream }: Exchange): When {
  return ({ headers, body }) => String(headers['x-amz-target']).endsWith('.PutRecords') && body.includes(`"${stream}"`);
}

function inExports(bucket: string, path: string): boolean {
  return path.startsWith(`/${bucket}/${exportFolder}/`);
}
