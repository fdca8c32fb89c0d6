import { integrationPreset } from '@millrace/testing/jest';

export default integrationPreset;
