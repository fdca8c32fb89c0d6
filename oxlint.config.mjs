// What may import what, and the rules of the language. `turbo boundaries` checks the packages' tags beside it.

const technologies = {
  typeorm: { names: ['typeorm'], why: 'only database, a storage folder and migrations know TypeORM' },
  pg: { names: ['pg', 'pg-copy-streams'], why: 'reach PostgreSQL through @millrace/database' },
  aws: {
    names: ['@aws-sdk/*', '@smithy/*'],
    why: 'reach AWS through @millrace/object-store and @millrace/event-stream',
  },
  bull: { names: ['bull', '@nestjs/bull', 'ioredis'], why: 'reach Redis through @millrace/job-queue' },
  openpgp: { names: ['openpgp'], why: 'OpenPGP lives in @millrace/crypto' },
  nest: {
    names: ['@nestjs/common', '@nestjs/core', '@nestjs/platform-express', '@nestjs/swagger', '@nestjs/testing'],
    why: 'Nest stays at the edge: main.ts, *.module.ts, *.controller.ts, *.processor.ts',
  },
};

// Later zones win where several hold a file.
const zones = [
  { files: ['packages/database/**'], may: ['typeorm', 'pg'] },
  { files: ['apps/*/src/storage/**'], may: ['typeorm'] },
  // Below database, so that database itself can be tested with them.
  { files: ['packages/testing/**', 'packages/dev-stack/**'], may: ['pg'] },
  { files: ['packages/object-store/**', 'packages/event-stream/**', 'packages/aws-client/**'], may: ['aws'] },
  { files: ['packages/crypto/**'], may: ['openpgp'] },
  {
    files: ['**/*.module.ts', '**/*.controller.ts', '**/*.processor.ts', '**/main.ts', 'packages/service-kit/**'],
    may: ['nest'],
  },
  { files: ['apps/*/test/**', 'apps/**/*.spec.ts'], may: ['nest'] },
  { files: ['packages/job-queue/**'], may: ['bull', 'nest'] },
  { files: ['**/migrations/**'], may: ['typeorm'] },
];

function restrictedImports(may) {
  const patterns = Object.entries(technologies)
    .filter(([technology]) => !may.includes(technology))
    .map(([, { names, why }]) => ({ group: names, message: why }));
  patterns.push({
    group: ['@millrace/*/src/*', '@millrace/*/dist/*', '**/apps/**'],
    message: 'import a package by its name, and no app at all',
  });
  return ['error', { patterns }];
}

export default {
  plugins: ['typescript', 'unicorn', 'oxc', 'import', 'jest', 'promise', 'node'],
  categories: { correctness: 'error' },
  ignorePatterns: ['**/dist/**', '**/node_modules/**', '.dev/**', 'docs/**'],
  rules: {
    'no-restricted-imports': restrictedImports([]),
    'no-console': 'error',
    'no-var': 'error',
    'prefer-const': 'error',
    eqeqeq: 'error',
    'import/no-default-export': 'error',
    'import/no-cycle': 'error',
    'unicorn/filename-case': ['error', { case: 'kebabCase' }],
    'typescript/no-explicit-any': 'error',
    'typescript/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/await-thenable': 'error',
    'typescript/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    'typescript/only-throw-error': 'error',
    // Control characters in patterns are what this trade is about.
    'no-control-regex': 'off',
    // Asserting by waiting, splitting text into code points and callbacks of streams are all meant.
    'jest/expect-expect': 'off',
    'jest/require-to-throw-message': 'off',
    'typescript/no-misused-spread': 'off',
    'promise/no-callback-in-promise': 'off',
    // A spread that copies, `void` before a call kept for its effect, words sorted as words: all plain to read.
    'unicorn/no-useless-spread': 'off',
    'typescript/no-meaningless-void-operator': 'off',
    'typescript/require-array-sort-compare': 'off',
    'jest/no-standalone-expect': 'off',
    // Handlers are passed as functions on purpose; methods are `#private` and lose nothing.
    'typescript/unbound-method': 'off',
  },
  overrides: [
    ...zones.map(({ files, may }) => ({ files, rules: { 'no-restricted-imports': restrictedImports(may) } })),
    // Tools load these by their default export.
    {
      files: ['**/jest.config.js', '**/*.config.mjs', 'packages/testing/src/global-*.ts'],
      rules: { 'import/no-default-export': 'off' },
    },
    // What a person reads on a terminal.
    {
      files: ['packages/dev-stack/**', 'infra/**', 'bench/**', '**/test/**', '**/*.mjs'],
      rules: { 'no-console': 'off' },
    },
    { files: ['packages/testing/jest.js', '**/*.d.ts'], rules: { 'import/no-default-export': 'off' } },
  ],
};
