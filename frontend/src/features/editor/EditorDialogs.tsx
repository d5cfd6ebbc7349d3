import { lazy, Suspense } from "react";
import type { Version } from "../../api/errors";
import type { App } from "../../api/types";
import { Button } from "../../ui/Button";
import { Dialog, DialogActions } from "../../ui/Dialog";
import { DeleteAppDialog } from "../dashboard/DeleteAppDialog";
import type { Resolution } from "./ConflictDialog";
import { SettingsDialog } from "./SettingsDialog";
import type { Action, Workspace } from "./workspace";

// It compares with Monaco, which comes on its own.
const ConflictDialog = lazy(() => import("./ConflictDialog"));

export type OpenDialog =
  | { type: "settings" | "delete" | "discard" }
  | { type: "conflict"; current: Version };

/** The one dialog that is open, if any. */
export function EditorDialogs({
  dialog,
  workspace,
  app,
  dispatch,
  onClose,
  onDiscard,
  onDeleted,
  onResolve,
}: {
  dialog: OpenDialog | undefined;
  workspace: Workspace;
  app: App | undefined;
  dispatch: (action: Action) => void;
  onClose: () => void;
  onDiscard: () => void;
  onDeleted: () => void;
  onResolve: (resolution: Resolution) => void;
}) {
  switch (dialog?.type) {
    case "settings":
      return (
        <SettingsDialog
          content={workspace.content}
          onClose={onClose}
          onApply={(settings) => dispatch({ type: "settings", ...settings })}
        />
      );
    case "delete":
      return app ? <DeleteAppDialog app={app} onClose={onClose} onDeleted={onDeleted} /> : null;
    case "discard":
      return (
        <DiscardDialog
          deployed={workspace.base !== undefined}
          onClose={onClose}
          onDiscard={onDiscard}
        />
      );
    case "conflict":
      return (
        <Suspense>
          <ConflictDialog
            mine={workspace.content}
            current={dialog.current}
            onClose={onClose}
            onResolve={onResolve}
          />
        </Suspense>
      );
    default:
      return null;
  }
}

function DiscardDialog({
  deployed,
  onClose,
  onDiscard,
}: {
  deployed: boolean;
  onClose: () => void;
  onDiscard: () => void;
}) {
  return (
    <Dialog title={deployed ? "Discard your changes?" : "Discard this draft?"} onClose={onClose}>
      <p>
        {deployed
          ? "Everything since the last deploy is lost, and the deployed version opens again."
          : "It was never deployed, so this is the only copy."}
      </p>
      <DialogActions>
        <Button onClick={onClose}>Keep editing</Button>
        <Button
          look="danger"
          onClick={() => {
            onClose();
            onDiscard();
          }}
        >
          Discard
        </Button>
      </DialogActions>
    </Dialog>
  );
}
