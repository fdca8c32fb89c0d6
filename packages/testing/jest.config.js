export { integrationPreset as default } from './jest.js';
