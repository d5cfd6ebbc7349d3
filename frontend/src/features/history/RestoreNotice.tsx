import { useMutation, useQuery } from "@tanstack/react-query";
import { ArchiveRestore } from "lucide-react";
import { answer, http } from "../../api/client";
import { toApiError } from "../../api/errors";
import { meQuery } from "../../api/queries";
import type { Deploy } from "../../api/types";
import { Button } from "../../ui/Button";
import { Notice } from "../../ui/Notice";
import { versionQuery } from "./queries";
import { Refusal } from "./Refusal";

/** A deleted app says so, and can come back. */
export function RestoreNotice({
  appId,
  name,
  idle,
  onTaken,
}: {
  appId: string;
  name: string;
  /** Removed because nobody used it, and not by its owner. */
  idle: boolean;
  onTaken: (deploy: Deploy) => void;
}) {
  const { data: me } = useQuery(meQuery);
  const restore = useMutation({
    mutationFn: () =>
      answer(http.POST("/api/apps/{app_id}/restore", { params: { path: { app_id: appId } } })),
    onSuccess: onTaken,
  });
  const error = restore.error ? toApiError(restore.error) : undefined;
  const refused = typeof error?.details.commit === "string" ? error.details.commit : undefined;
  const last = useQuery({
    ...versionQuery(appId, refused ?? ""),
    enabled: refused !== undefined,
  });
  return (
    <>
      <Notice
        kind="warn"
        title={idle ? "This app was removed, for nobody used it." : "This app is deleted."}
        actions={
          <Button
            small
            look="primary"
            icon={<ArchiveRestore aria-hidden />}
            busy={restore.isPending}
            onClick={() => restore.mutate()}
          >
            Restore
          </Button>
        }
      >
        Its history stays. Restoring brings it back as it was last, under its old address; files
        that it wrote itself are gone.
      </Notice>
      {error ? (
        <Refusal
          error={error}
          userId={me?.user_id}
          appId={appId}
          name={last.data?.name ?? name}
          then={last.data}
          now={undefined}
        />
      ) : null}
    </>
  );
}
