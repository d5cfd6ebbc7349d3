/** A starter is a folder of real files under src/starters/, so that it can be run and reviewed. */
export interface Starter {
  id: string;
  title: string;
  about: string;
  suggestedName: string;
  entrypoint: string;
  files: Record<string, string>;
}

const texts = import.meta.glob<string>("../../starters/**/*", {
  query: "?raw",
  import: "default",
  eager: true,
});

function starter(id: string, title: string, suggestedName: string, about: string): Starter {
  const folder = `../../starters/${id}/`;
  const files = Object.fromEntries(
    Object.entries(texts)
      .filter(([path]) => path.startsWith(folder))
      .map(([path, text]) => [path.slice(folder.length), text]),
  );
  return { id, title, about, suggestedName, entrypoint: "user_code.py", files };
}

export const STARTERS: readonly Starter[] = [
  starter("hello", "Hello API", "Hello API", "Three routes in twenty lines: path, query and JSON."),
  starter(
    "todo",
    "To-do list",
    "To-do list",
    "Pydantic models, status codes, and a store in memory.",
  ),
  starter(
    "notes",
    "Notes with a page",
    "Notes",
    "Several files: a router, SQLite, and an HTML page.",
  ),
];
