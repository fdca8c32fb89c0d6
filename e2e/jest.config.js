import { preset } from '@millrace/jest-preset';

/** One file after the other: each has a stack of its own, and two cores carry one of those at a time. */
export default {
  ...preset,
  testMatch: ['<rootDir>/test/**/*.e2e.spec.ts'],
  maxWorkers: 1,
  testTimeout: 180_000,
};
