import { useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { useLocation } from "wouter";
import { answer, http } from "../../api/client";
import {
  type ApiError,
  currentOf,
  diagnosticsOf,
  toApiError,
  type Version,
} from "../../api/errors";
import type { App, Deploy, Diagnostic } from "../../api/types";
import { toast } from "../../ui/toasts";
import { type ProgressControl, useProgress } from "../deploy/useProgress";
import { becameApp } from "./identity";
import { type Action, type Content, sameContent, type Workspace } from "./workspace";

interface Options {
  app: App | undefined;
  draftId: string;
  /** The workspace as it is when it is asked for. */
  latest: () => Workspace;
  dispatch: (action: Action) => void;
  onRefused: (diagnostics: readonly Diagnostic[]) => void;
  onStale: (current: Version) => void;
}

/** The acts that change what is deployed; each is followed by the same progress strip. */
export function useDeploy(options: Options): {
  app: App | undefined;
  progress: ProgressControl["progress"];
  deploy: () => Promise<void>;
  restart: () => Promise<void>;
  /** A commit was made that changed nothing of the content. */
  moved: (deploy: Deploy) => void;
} {
  const { draftId, latest, dispatch, onRefused, onStale } = options;
  const [app, setApp] = useState(options.app);
  const control = useProgress(app?.app_id);
  const { progress, begin, accepted, refused } = control;
  // Two presses before the button is drawn as busy are one.
  const sending = useRef(false);
  const queries = useQueryClient();
  const [, navigate] = useLocation();

  function refuse(thrown: unknown): void {
    const error = toApiError(thrown);
    const diagnostics = diagnosticsOf(error);
    const current = currentOf(error);
    if (diagnostics.length > 0) onRefused(diagnostics);
    if (current) onStale(current);
    refused(error);
  }

  async function deploy(): Promise<void> {
    if (sending.current) return;
    sending.current = true;
    const { content: sent, basedOn } = latest();
    begin("deploy");
    try {
      const taken = app
        ? await update(app.app_id, sent, basedOn)
        : await firstDeploy(draftId, sent);
      const { commit, name, entrypoint } = taken;
      dispatch({ type: "deployed", base: { ...sent, name, entrypoint, commit } });
      setApp(taken);
      if (!app) {
        becameApp(draftId, taken.app_id);
        navigate(`/apps/${taken.app_id}`, { replace: true });
      }
      void queries.invalidateQueries({ queryKey: ["apps"] });
      accepted(taken.app_id);
    } catch (thrown) {
      refuse(thrown);
    } finally {
      sending.current = false;
    }
  }

  async function restart(): Promise<void> {
    if (!app || sending.current) return;
    sending.current = true;
    const params = { path: { app_id: app.app_id } };
    begin("restart");
    try {
      const { commit } = await answer(http.POST("/api/apps/{app_id}/restart", { params }));
      dispatch({ type: "moved", commit });
      accepted(app.app_id);
    } catch (thrown) {
      const error: ApiError = toApiError(thrown);
      toast(error.message, "danger");
      refused(error);
    } finally {
      sending.current = false;
    }
  }

  function moved(made: Deploy): void {
    dispatch({ type: "moved", commit: made.commit });
    begin("restart");
    accepted(made.app_id);
  }

  return { app, progress, deploy, restart, moved };
}

function update(appId: string, content: Content, base: string | undefined): Promise<Deploy> {
  const { name, entrypoint, files, env } = content;
  return answer(
    http.PUT("/api/apps/{app_id}", {
      params: { path: { app_id: appId } },
      body: { name, entrypoint, files, env, base_commit: base },
    }),
  );
}

/** First deploys that were sent and not answered: whether they arrived is not known. */
const unanswered = new Map<string, Content>();

/**
 * The first deploy of a draft, which may be pressed again after a lost answer and more typing: what
 * was sent is sent again, under the same key and so without harm, and then changed.
 */
async function firstDeploy(draftId: string, content: Content): Promise<Deploy> {
  const sent = unanswered.get(draftId) ?? content;
  let made: Deploy;
  try {
    made = await create(draftId, sent);
  } catch (thrown) {
    const { status } = toApiError(thrown);
    if (status === 0 || status >= 500) unanswered.set(draftId, sent);
    else unanswered.delete(draftId);
    throw thrown;
  }
  if (!sameContent(sent, content)) made = await update(made.app_id, content, made.commit);
  unanswered.delete(draftId);
  return made;
}

/** The draft's own id is the key that makes it harmless to send the same twice. */
function create(draftId: string, content: Content): Promise<Deploy> {
  const { name, entrypoint, files, env } = content;
  return answer(
    http.POST("/api/apps", {
      params: { header: { "Idempotency-Key": draftId } },
      body: { name, entrypoint, files, env },
    }),
  );
}
