import { preset } from '@millrace/jest-preset';

export default preset;
