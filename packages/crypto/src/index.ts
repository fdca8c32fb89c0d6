export { isSealed, open, seal, type SealContext } from './seal.js';
export { openEndpoint, sealEndpoint, type EndpointOwner } from './seal-endpoint.js';
