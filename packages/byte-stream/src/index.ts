export { byteStream } from './byte-stream.js';
export { gathered } from './gathered.js';
export { withHead } from './with-head.js';
