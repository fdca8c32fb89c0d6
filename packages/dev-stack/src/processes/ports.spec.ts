import { createServer, type Server } from 'node:net';
import { choosePort, isFree } from './ports.js';

describe('choosePort', () => {
  let taken: Server;
  let port: number;
  beforeAll(async () => {
    taken = createServer();
    await new Promise<void>((resolve) => {
      taken.listen(0, '127.0.0.1', resolve);
    });
    const address = taken.address();
    port = typeof address === 'object' && address !== null ? address.port : 0;
  });
  afterAll(() => {
    taken.close();
  });

  it('takes the first preferred port that is free', async () => {
    const free = await choosePort('test', []);
    expect(await choosePort('test', [port, free])).toBe(free);
    expect(await isFree(port)).toBe(false);
  });

  it('names the port and the way out when a fixed one is taken', async () => {
    const refused = choosePort('config-api', [port], true);
    await expect(refused).rejects.toThrow(`port ${port}, asked for by config-api, is taken`);
    await expect(refused).rejects.toMatchObject({ nextStep: expect.stringContaining(`lsof -i :${port}`) });
  });
});
