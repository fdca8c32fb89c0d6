import './global-setup.js';

export default async function teardown(): Promise<void> {
  await globalThis.millraceTestStack?.stop();
}
