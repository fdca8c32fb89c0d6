/** What Nest injects by name: everything that is not a class of this service. */
export const DATABASE = Symbol('Database');
export const DRIVERS = Symbol('Drivers');
/** The OpenAPI document. */
export const OPEN_API = Symbol('OpenApi');
/** Where rejected rows are listed; undefined where the importer is not known. */
export const REJECTS = Symbol('RejectSource');
/** How the importer is asked; undefined where it is not known. */
export const IMPORTER = Symbol('AskImporter');
/** How the exporter is asked; undefined where it is not known. */
export const EXPORTER = Symbol('AskExporter');
/** How stream-publisher is asked; undefined where it is not known. */
export const PUBLISHER = Symbol('AskPublisher');
/** Addresses from which this installation connects, as its operator published them. */
export const EGRESS_ADDRESSES = Symbol('EgressAddresses');
