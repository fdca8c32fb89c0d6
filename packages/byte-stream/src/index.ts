export { byteStream } from './byte-stream.js';
export { withHead } from './with-head.js';
