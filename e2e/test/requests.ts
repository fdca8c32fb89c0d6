import { waitFor, type FaultProxy, type FaultRule } from '@millrace/testing';
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

export function writingManifest({ bucket }: Exchange): When {
  return ({ method, path }) => method === 'PUT' && inExports(bucket, path) && /\.json(\?|$)/.test(path);
}

/** The publisher sends records. */
export function puttingRecords({ stream }: Exchange): When {
  return ({ headers, body }) => String(headers['x-amz-target']).endsWith('.PutRecords') && body.includes(`"${stream}"`);
}

function inExports(bucket: string, path: string): boolean {
  return path.startsWith(`/${bucket}/${exportFolder}/`);
}

/** Lays a fault in the way of a request. The function it gives resolves when the request has met it. */
export function layInWay(proxy: FaultProxy, rule: FaultRule): () => Promise<void> {
  let passes = rule.skip ?? 0;
  let met = false;
  const when: When = (request) => {
    const matches = rule.when(request);
    if (matches && passes > 0) passes -= 1;
    else if (matches) met = true;
    return matches;
  };
  proxy.inject({ ...rule, when });
  return async () => {
    await waitFor(() => met, 30_000, 'the request that is to go wrong');
  };
}
