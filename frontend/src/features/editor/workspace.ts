/** What is being edited, and how it stands to what is deployed. Pure: no storage, no network. */

/** What a deploy carries. */
export interface Content {
  name: string;
  entrypoint: string;
  files: Record<string, string>;
  env: Record<string, string>;
}

/** An app's content as it stands at a commit on the platform. */
export interface Base extends Content {
  commit: string;
}

export interface Workspace {
  content: Content;
  /** What is deployed; nothing before the first deploy. */
  base: Base | undefined;
  /** The commit that `content` was begun from; another one than the base's means it moved on. */
  basedOn: string | undefined;
  tabs: readonly string[];
  active: string | undefined;
}

export type Action =
  | { type: "edit"; path: string; text: string }
  | { type: "add"; path: string }
  | { type: "rename"; from: string; to: string }
  | { type: "delete"; path: string }
  | { type: "open"; path: string }
  | { type: "close"; path: string }
  | { type: "entrypoint"; path: string }
  | { type: "settings"; name: string; entrypoint: string; env: Record<string, string> }
  | { type: "deployed"; base: Base }
  | { type: "moved"; commit: string }
  | { type: "rebase"; base: Base }
  | { type: "underneath"; base: Base }
  | { type: "resolved"; base: Base; content: Content }
  | { type: "discard" }
  | { type: "replace"; workspace: Workspace };

/** A workspace at its start, with the entrypoint open. */
export function open(content: Content, base?: Base): Workspace {
  const first =
    content.files[content.entrypoint] === undefined
      ? Object.keys(content.files)[0]
      : content.entrypoint;
  return {
    content,
    base,
    basedOn: base?.commit,
    tabs: first === undefined ? [] : [first],
    active: first,
  };
}

export function contentOf({ name, entrypoint, files, env }: Content): Content {
  return { name, entrypoint, files, env };
}

function sameTexts(a: Record<string, string>, b: Record<string, string>): boolean {
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && a[name] === b[name])
  );
}

export function sameContent(a: Content, b: Content): boolean {
  return (
    a.name === b.name &&
    a.entrypoint === b.entrypoint &&
    sameTexts(a.files, b.files) &&
    sameTexts(a.env, b.env)
  );
}

/** Whether there is something that a deploy would change, or that discarding would lose. */
export function isDirty({ content, base }: Workspace): boolean {
  return base === undefined || !sameContent(content, base);
}

/** Whether the app changed on the platform after this draft was begun. */
export function isStale({ base, basedOn }: Workspace): boolean {
  return base !== undefined && base.commit !== basedOn;
}

/** Paths whose text is not the deployed one; before the first deploy there is none to compare. */
export function changedPaths({ content, base }: Workspace): ReadonlySet<string> {
  const paths = base ? Object.keys(content.files) : [];
  return new Set(paths.filter((path) => content.files[path] !== base?.files[path]));
}

export interface Difference {
  path: string;
  before: string | undefined;
  after: string | undefined;
}

/** The files in which two versions differ, in order. */
export function differences(before: Content, after: Content): Difference[] {
  const paths = new Set([...Object.keys(before.files), ...Object.keys(after.files)]);
  return [...paths]
    .sort((a, b) => a.localeCompare(b))
    .map((path) => ({ path, before: before.files[path], after: after.files[path] }))
    .filter((difference) => difference.before !== difference.after);
}

export function reduce(state: Workspace, action: Action): Workspace {
  const { content } = state;
  switch (action.type) {
    case "edit":
      if (content.files[action.path] === undefined || content.files[action.path] === action.text) {
        return state;
      }
      return withFiles(state, { ...content.files, [action.path]: action.text });
    case "add":
      return openTab(withFiles(state, { ...content.files, [action.path]: "" }), action.path);
    case "rename":
      return rename(state, action.from, action.to);
    case "delete": {
      const { [action.path]: _gone, ...files } = content.files;
      return closeTab(withFiles(state, files), action.path);
    }
    case "open":
      return content.files[action.path] === undefined ? state : openTab(state, action.path);
    case "close":
      return closeTab(state, action.path);
    case "entrypoint":
      return { ...state, content: { ...content, entrypoint: action.path } };
    case "settings": {
      const { name, entrypoint, env } = action;
      return { ...state, content: { ...content, name, entrypoint, env } };
    }
    case "deployed":
      // What was typed while the deploy was on its way stays a draft, on top of it.
      return { ...state, base: action.base, basedOn: action.base.commit };
    case "moved":
      // A commit that changed nothing of the content: a restart.
      return state.base
        ? { ...state, base: { ...state.base, commit: action.commit }, basedOn: action.commit }
        : state;
    case "rebase":
      return { ...state, base: action.base };
    case "underneath":
      return underneath(state, action.base);
    case "resolved":
      // What the person chose, knowing the version that it stands on now.
      return withContent(
        { ...state, base: action.base, basedOn: action.base.commit },
        action.content,
      );
    case "replace":
      return action.workspace;
    case "discard":
      return state.base ? withOpenTabs(state, state.base) : state;
  }
}

/** The app moved on while it is open here: only what nobody typed into follows by itself. */
function underneath(state: Workspace, base: Base): Workspace {
  if (state.base === undefined) return state;
  if (sameContent(base, state.base)) {
    return { ...state, base, basedOn: isStale(state) ? state.basedOn : base.commit };
  }
  if (sameContent(base, state.content)) return { ...state, base, basedOn: base.commit };
  if (!isDirty(state)) return withOpenTabs(state, base);
  return { ...state, base };
}

/** Other content, keeping open what is still there. */
function withContent(state: Workspace, content: Content): Workspace {
  const tabs = state.tabs.filter((tab) => content.files[tab] !== undefined);
  const active = state.active !== undefined && tabs.includes(state.active) ? state.active : tabs[0];
  const fresh = open(contentOf(content));
  const shown = tabs.length > 0 ? { tabs, active } : { tabs: fresh.tabs, active: fresh.active };
  return { ...state, content: contentOf(content), ...shown };
}

function withFiles(state: Workspace, files: Record<string, string>): Workspace {
  return { ...state, content: { ...state.content, files } };
}

function openTab(state: Workspace, path: string): Workspace {
  const tabs = state.tabs.includes(path) ? state.tabs : [...state.tabs, path];
  return { ...state, tabs, active: path };
}

function closeTab(state: Workspace, path: string): Workspace {
  const at = state.tabs.indexOf(path);
  if (at < 0) return state;
  const tabs = state.tabs.filter((tab) => tab !== path);
  const active = state.active === path ? (tabs[at] ?? tabs[at - 1]) : state.active;
  return { ...state, tabs, active };
}

function rename(state: Workspace, from: string, to: string): Workspace {
  const { content } = state;
  const text = content.files[from];
  if (text === undefined) return state;
  const { [from]: _moved, ...others } = content.files;
  const renamed = (path: string) => (path === from ? to : path);
  return {
    ...state,
    content: {
      ...content,
      files: { ...others, [to]: text },
      entrypoint: renamed(content.entrypoint),
    },
    tabs: state.tabs.map(renamed),
    active: state.active === undefined ? undefined : renamed(state.active),
  };
}

/** The base's content, keeping open what is still there. */
function withOpenTabs(state: Workspace, base: Base): Workspace {
  const fresh = open(contentOf(base), base);
  const tabs = state.tabs.filter((tab) => base.files[tab] !== undefined);
  if (tabs.length === 0) return fresh;
  const active = state.active !== undefined && tabs.includes(state.active) ? state.active : tabs[0];
  return { ...fresh, tabs, active };
}
