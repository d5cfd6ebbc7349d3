/**
 * Which paths a file may have. The api has the last word (api/domain/repo_layout.py and the source
 * check); these rules are the same ones, told while the name is being typed.
 */
const SEGMENT = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?!\.))*$/;
const MAX_LENGTH = 120;
export const MAX_FILES = 50;

const LANGUAGES: Record<string, string> = {
  py: "python",
  html: "html",
  css: "css",
  js: "javascript",
  svg: "html",
  json: "javascript", // a JSON text is a JavaScript expression, and colours need no more
  txt: "plaintext",
  md: "markdown",
  csv: "plaintext",
};

function ending(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1).toLowerCase();
}

/** Monaco's language for a file. */
export function languageOf(path: string): string {
  return LANGUAGES[ending(path)] ?? "plaintext";
}

export function isPython(path: string): boolean {
  return ending(path) === "py";
}

/** Why a new file cannot have this path; nothing when it can. */
export function pathProblem(path: string, others: readonly string[]): string | undefined {
  if (path === "") return "Give the file a name.";
  if (path.length > MAX_LENGTH) return `A path has at most ${MAX_LENGTH} characters.`;
  if (path.startsWith("/") || path.endsWith("/")) return "Name a file, such as routers/items.py.";
  const wrong = path.split("/").find((part) => !SEGMENT.test(part) || part.endsWith("."));
  if (wrong !== undefined) {
    return wrong.startsWith(".")
      ? "Names that start with a dot are not kept."
      : "Use letters, digits, “_”, “-” and single dots; “/” makes a folder.";
  }
  if (!path.includes(".") || !(ending(path) in LANGUAGES)) {
    return `The name must end in ${Object.keys(LANGUAGES)
      .map((end) => `.${end}`)
      .join(" ")}`;
  }
  const twin = others.find((other) => other.toLowerCase() === path.toLowerCase());
  if (twin !== undefined) return `There is ${twin} already.`;
  const clash = others.find(
    (other) => other.startsWith(`${path}/`) || path.startsWith(`${other}/`),
  );
  if (clash !== undefined) return `${clash} is in the way: a file cannot be a folder too.`;
  return undefined;
}

export interface Folder {
  name: string;
  path: string;
  folders: Folder[];
  files: { name: string; path: string }[];
}

/** The files as a tree: folders first, each level in alphabetical order. */
export function treeOf(paths: readonly string[]): Folder {
  const root: Folder = { name: "", path: "", folders: [], files: [] };
  for (const path of [...paths].sort((a, b) => a.localeCompare(b))) {
    const parts = path.split("/");
    const name = parts.pop() ?? path;
    let folder = root;
    for (const part of parts) {
      const inside = folder.path ? `${folder.path}/${part}` : part;
      let next = folder.folders.find((child) => child.path === inside);
      if (!next) {
        next = { name: part, path: inside, folders: [], files: [] };
        folder.folders.push(next);
      }
      folder = next;
    }
    folder.files.push({ name, path });
  }
  return root;
}
