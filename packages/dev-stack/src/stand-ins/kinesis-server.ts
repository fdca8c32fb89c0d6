// The Kinesis stand-in, in a process of its own: kinesis-server.js <port> [directory] [address]
import kinesalite from 'kinesalite';

const port = Number(process.argv[2]);
const [directory, address = '127.0.0.1'] = [process.argv[3], process.argv[4]];
if (!Number.isInteger(port)) throw new Error('usage: kinesis-server.js <port> [directory] [address]');

const server = kinesalite({
  path: directory,
  createStreamMs: 20,
  deleteStreamMs: 20,
  updateStreamMs: 20,
  shardLimit: 1000,
});
server.keepAliveTimeout = 75_000;
server.listen(port, address);

// A request cut off in its middle throws from the stand-in's handler; the others must not suffer.
process.on('uncaughtException', (error) => {
  console.error(error);
  if ('code' in error && error.code === 'EADDRINUSE') process.exit(1);
});
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  setTimeout(() => process.exit(0), 1000).unref();
});
