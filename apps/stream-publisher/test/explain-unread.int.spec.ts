import { createLogger, createMetrics } from '@millrace/service-kit';
import { handleCommands } from '../src/activate-stream/handle-commands.js';
import { explainProfile } from '../src/look-at-stream/explain-profile.js';
import { PublisherEvents } from '../src/publish-changes/publisher.events.js';
import { StreamWorkspace } from './stream-workspace.js';

let workspace: StreamWorkspace;

beforeAll(async () => {
  workspace = await StreamWorkspace.create('explain-unread');
});

afterAll(async () => {
  await workspace.drop();
});

describe('a profile with a change in the outbox', () => {
  it('is not said to have been told of', async () => {
    const segment = await workspace.segment('members');
    const goalId = await workspace.activate(workspace.snapshot({ segmentIds: [segment] }));
    const events = new PublisherEvents(
      createLogger({ service: 'stream-publisher', level: 'fatal' }),
      createMetrics({ service: 'stream-publisher' }),
    );
    await handleCommands(workspace.database, events);
    const id = await workspace.profile({ membership: { [segment]: 'realized' } });
    const because = async (): Promise<string> =>
      (await explainProfile(workspace.database, goalId, id)).because.join('\n');
    expect(await because()).toContain('nothing is waiting');
    await workspace.change(id, { written: ['points'] });
    expect(await because()).not.toContain('nothing is waiting');
    expect(await because()).toContain('a change is in the outbox');
  });
});
