export * from './client-options.js';
export * from './credentials.js';
export * from './fault.js';
export * from './retry.js';
