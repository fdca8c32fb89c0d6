export { integrationPreset as default } from '@millrace/testing/jest';
