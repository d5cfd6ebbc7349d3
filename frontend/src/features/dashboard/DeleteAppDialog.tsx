import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "wouter";
import { answer, http } from "../../api/client";
import { toApiError } from "../../api/errors";
import type { App } from "../../api/types";
import { Button } from "../../ui/Button";
import { Dialog, DialogActions } from "../../ui/Dialog";
import { ErrorNotice } from "../../ui/Notice";
import { toast } from "../../ui/toasts";

export function DeleteAppDialog({
  app,
  onDeleted,
  onClose,
}: {
  app: App;
  onDeleted: () => void;
  onClose: () => void;
}) {
  const queries = useQueryClient();
  const remove = useMutation({
    mutationFn: () =>
      answer(http.DELETE("/api/apps/{app_id}", { params: { path: { app_id: app.app_id } } })),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ["apps"] });
      toast(`${app.name} is being deleted.`);
      onClose();
      onDeleted();
    },
  });
  return (
    <Dialog title={`Delete ${app.name}?`} onClose={onClose}>
      <p>
        The app stops and its address answers no more; files that it wrote are gone. Your code stays
        in <Link href={`/apps/${app.app_id}/history`}>its history</Link>, and for 30 days your
        dashboard lists the app, so that you can restore it.
      </p>
      {remove.error ? <ErrorNotice error={toApiError(remove.error)} /> : null}
      <DialogActions>
        <Button onClick={onClose}>Cancel</Button>
        <Button look="danger" busy={remove.isPending} onClick={() => remove.mutate()}>
          Delete app
        </Button>
      </DialogActions>
    </Dialog>
  );
}
