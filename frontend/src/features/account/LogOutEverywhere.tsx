import { useMutation } from "@tanstack/react-query";
import { answer, http } from "../../api/client";
import { toApiError } from "../../api/errors";
import { end } from "../../api/session";
import { Button } from "../../ui/Button";
import { Dialog, DialogActions } from "../../ui/Dialog";
import { ErrorNotice } from "../../ui/Notice";

export function LogOutEverywhere({ onClose }: { onClose: () => void }) {
  const logOut = useMutation({
    mutationFn: () => answer(http.POST("/api/auth/logout-everywhere")),
    onSuccess: () => end("everywhere"),
  });
  return (
    <Dialog title="Log out everywhere?" onClose={onClose}>
      <p>
        Every browser in which you are logged in, this one too, will ask for your password again.
        Your apps keep running, and drafts stay in the browser they were written in.
      </p>
      {logOut.error ? <ErrorNotice error={toApiError(logOut.error)} /> : null}
      <DialogActions>
        <Button onClick={onClose}>Cancel</Button>
        <Button look="primary" busy={logOut.isPending} onClick={() => logOut.mutate()}>
          Log out everywhere
        </Button>
      </DialogActions>
    </Dialog>
  );
}
