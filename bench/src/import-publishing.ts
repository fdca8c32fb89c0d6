import { findWorkspace } from '@millrace/profile-store';
import { alternate, type Bench } from './bench.js';
import { emptyStore } from './bench-stack.js';
import { runWholeImport, upload } from './import-setting.js';
import { peopleFile } from './people-file.js';
import { activateGoals, settle, withStreamSetting } from './stream-setting.js';

const warmingUp = 1000;

/** What it costs the importer that a publisher on the same machine sends each new profile while it imports. */
export const importPublishing: Bench = {
  about: 'new profiles while the publisher sends each of them, against the same with the publisher stopped',
  async run(options) {
    const file = await peopleFile(options.rows);
    return withStreamSetting(
      warmingUp,
      options.say,
      async (stream) => {
        const { bench, sink } = stream;
        const setting = { bench, workspace: await findWorkspace(bench.database, 'bench') };
        await upload(setting, 'people.csv', file);
        await activateGoals(stream, 1);
        await settle(bench);
        const wholeImport = async () => {
          await emptyStore(bench.database);
          return runWholeImport(setting, { name: 'people.csv' }, 'created', options.rows);
        };
        const beside = async () => {
          await sink.forget();
          const sample = await wholeImport();
          await sink.until(options.rows);
          await settle(bench);
          return sample;
        };
        const alone = async () => {
          await bench.services.kill('stream-publisher', 'SIGTERM');
          const sample = await wholeImport();
          await emptyStore(bench.database);
          await bench.services.restart('stream-publisher');
          return sample;
        };
        return alternate('import-publishing', options, beside, alone);
      },
      { services: ['importer', 'stream-publisher'] },
    );
  },
};
