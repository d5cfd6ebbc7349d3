import type { components } from "./schema";

type Schemas = components["schemas"];

export type App = Schemas["App"];
export type AppDetail = Schemas["AppDetail"];
export type AppState = App["status"];
export type AppStatus = Schemas["AppStatus"];
export type ChangedFile = Schemas["ChangedFile"];
export type Deploy = Schemas["Deploy"];
export type DeployStatus = Schemas["DeployStatus"];
export type Diagnostic = Schemas["Diagnostic"];
export type FileDiff = Schemas["FileDiff"];
export type HistoryEntry = Schemas["HistoryEntry"];
export type LogLine = Schemas["LogLine"];
export type Meta = Schemas["Meta"];
export type Package = Schemas["Package"];
export type Packages = Schemas["Packages"];
/** An app as it was at one commit; `Version` of errors.ts is one side of a conflict. */
export type PastVersion = Schemas["Version"];
export type RemovedApp = Schemas["RemovedApp"];
export type Stage = Schemas["Stage"];
export type StageName = Stage["name"];
export type Token = Schemas["Token"];
export type User = Schemas["User"];
export type Validation = Schemas["Validation"];
export type Who = Schemas["Who"];
