export { sql, Sql } from './sql.js';
