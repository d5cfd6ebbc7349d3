import {
  ChevronDown,
  CircleX,
  Ellipsis,
  FileCode2,
  FilePlus2,
  FileText,
  FolderOpen,
  Package,
  PanelLeft,
  Pencil,
  Play,
  Trash2,
  TriangleAlert,
} from "lucide-react";
import { type ReactNode, useState } from "react";
import { Link } from "wouter";
import type { Diagnostic } from "../../api/types";
import { Button } from "../../ui/Button";
import { Menu, type MenuItem } from "../../ui/Menu";
import { DeleteFileDialog, FileNameDialog } from "./FileDialogs";
import { type Folder, isPython, MAX_FILES, treeOf } from "./paths";
import styles from "./sidebar.module.css";
import type { Action, Content } from "./workspace";

type FileDialog = { type: "add" } | { type: "rename" | "delete"; path: string };

interface Props {
  content: Content;
  active: string | undefined;
  changed: ReadonlySet<string>;
  diagnostics: readonly Diagnostic[];
  dispatch: (action: Action) => void;
  /** A file was made or renamed: the person goes on in its text. */
  onMade: (path: string) => void;
}

export function Sidebar(props: Props) {
  const { content, dispatch, onMade } = props;
  const [shown, setShown] = useState(false);
  const [dialog, setDialog] = useState<FileDialog>();
  const paths = Object.keys(content.files);
  const close = () => setDialog(undefined);

  return (
    <aside className={styles.sidebar} aria-label="Files" data-shown={shown}>
      <div className={styles.head}>
        <button
          type="button"
          className={styles.toggle}
          aria-expanded={shown}
          onClick={() => setShown(!shown)}
        >
          <PanelLeft aria-hidden />
          Files
          <ChevronDown aria-hidden className={styles.chevron} />
        </button>
        <h2>Files</h2>
        <Button
          look="quiet"
          small
          icon={<FilePlus2 aria-hidden />}
          aria-label="New file"
          title={paths.length < MAX_FILES ? "New file" : `An app has at most ${MAX_FILES} files`}
          disabled={paths.length >= MAX_FILES}
          onClick={() => setDialog({ type: "add" })}
        />
      </div>
      <div className={styles.content}>
        <nav aria-label="File tree">
          <FolderList
            folder={treeOf(paths)}
            {...props}
            onDialog={setDialog}
            onChosen={() => setShown(false)}
          />
        </nav>
        <div className={styles.foot}>
          <Link href="/packages">
            <Package aria-hidden /> Packages you can import
          </Link>
          <p>
            Code and settings survive a restart. Files your app writes, such as a SQLite database,
            are gone with it.
          </p>
        </div>
      </div>
      {dialog?.type === "add" ? (
        <FileNameDialog
          title="New file"
          action="Add"
          paths={paths}
          onClose={close}
          onName={(path) => {
            dispatch({ type: "add", path });
            onMade(path);
          }}
        />
      ) : null}
      {dialog?.type === "rename" ? (
        <FileNameDialog
          title={`Rename ${dialog.path}`}
          action="Rename"
          initial={dialog.path}
          paths={paths.filter((path) => path !== dialog.path)}
          onClose={close}
          onName={(to) => {
            dispatch({ type: "rename", from: dialog.path, to });
            onMade(to);
          }}
        />
      ) : null}
      {dialog?.type === "delete" ? (
        <DeleteFileDialog
          path={dialog.path}
          onClose={close}
          onDelete={() => dispatch({ type: "delete", path: dialog.path })}
        />
      ) : null}
    </aside>
  );
}

interface TreeProps extends Props {
  folder: Folder;
  onDialog: (dialog: FileDialog) => void;
  onChosen: () => void;
}

function FolderList(props: TreeProps) {
  const { folder } = props;
  return (
    <ul className={styles.list}>
      {folder.folders.map((child) => (
        <li key={child.path}>
          <div className={styles.folder}>
            <FolderOpen aria-hidden />
            {child.name}
          </div>
          <FolderList {...props} folder={child} />
        </li>
      ))}
      {folder.files.map(({ name, path }) => (
        <li key={path}>
          <FileRow name={name} path={path} {...props} />
        </li>
      ))}
    </ul>
  );
}

function FileRow({
  name,
  path,
  content,
  active,
  changed,
  diagnostics,
  dispatch,
  onDialog,
  onChosen,
}: TreeProps & { name: string; path: string }) {
  const isEntrypoint = path === content.entrypoint;
  const Icon = isPython(path) ? FileCode2 : FileText;
  const items: MenuItem[] = [
    {
      label: "Rename…",
      icon: <Pencil aria-hidden />,
      onSelect: () => onDialog({ type: "rename", path }),
    },
    {
      label: "Make it the entrypoint",
      icon: <Play aria-hidden />,
      disabled: isEntrypoint || !isPython(path),
      onSelect: () => dispatch({ type: "entrypoint", path }),
    },
    {
      label: "Delete…",
      icon: <Trash2 aria-hidden />,
      danger: true,
      disabled: Object.keys(content.files).length === 1,
      onSelect: () => onDialog({ type: "delete", path }),
    },
  ];
  return (
    <div className={styles.row} data-active={path === active}>
      <button
        type="button"
        className={styles.file}
        aria-current={path === active ? "true" : undefined}
        title={path}
        onClick={() => {
          dispatch({ type: "open", path });
          onChosen();
        }}
      >
        <Icon aria-hidden />
        <span className={styles.name}>{name}</span>
        {isEntrypoint ? (
          <span className={styles.entry} title="The entrypoint: its `app` is served">
            <Play aria-hidden />
            <span className="visually-hidden">, entrypoint</span>
          </span>
        ) : null}
        <FileMarks path={path} changed={changed} diagnostics={diagnostics} />
      </button>
      <Menu
        label={`Actions for ${path}`}
        look="quiet"
        small
        icon={<Ellipsis aria-hidden />}
        items={items}
      />
    </div>
  );
}

function FileMarks({
  path,
  changed,
  diagnostics,
}: Pick<Props, "changed" | "diagnostics"> & { path: string }): ReactNode {
  const own = diagnostics.filter((diagnostic) => diagnostic.path === path);
  if (own.some(({ severity }) => severity === "error")) {
    return (
      <span className={styles.error} title="Has errors">
        <CircleX aria-hidden />
        <span className="visually-hidden">, has errors</span>
      </span>
    );
  }
  if (own.length > 0) {
    return (
      <span className={styles.warning} title="Has warnings">
        <TriangleAlert aria-hidden />
        <span className="visually-hidden">, has warnings</span>
      </span>
    );
  }
  return changed.has(path) ? (
    <span className={styles.changed} title="Changed, not deployed">
      <span className="visually-hidden">, changed</span>
    </span>
  ) : null;
}
