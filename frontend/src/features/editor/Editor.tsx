import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useEffectEvent, useState } from "react";
import { useLocation } from "wouter";
import { appsQuery, metaQuery, statusQuery } from "../../api/queries";
import type { App } from "../../api/types";
import { SkipLink } from "../../app/Page";
import { PageLoading } from "../../app/PageLoading";
import { toast } from "../../ui/toasts";
import { useNow } from "../../ui/useNow";
import { type Draft, type DraftKey, dropDraft, resume } from "../drafts/drafts";
import { useLastLines } from "../logs/useLastLines";
import { RestNotice } from "../rest/RestNotice";
import { useActivity } from "../rest/useActivity";
import { BottomPanel, type PanelName } from "./BottomPanel";
import type { Place } from "./CodeEditor";
import type { Resolution } from "./ConflictDialog";
import { EditorDialogs, type OpenDialog } from "./EditorDialogs";
import { EditorHeader } from "./EditorHeader";
import { EditorNotices } from "./EditorNotices";
import styles from "./editor.module.css";
import { Sidebar } from "./Sidebar";
import { StatusBar } from "./StatusBar";
import { Tabs } from "./Tabs";
import { useDeploy } from "./useDeploy";
import { useDraft } from "./useDraft";
import { useUnderneath } from "./useUnderneath";
import { useValidation } from "./useValidation";
import { useWorkspace } from "./useWorkspace";
import { changedPaths, isDirty, isStale, type Workspace } from "./workspace";

// Asked for as soon as this page is, and shown when it has come.
const code = import("./CodeEditor");
const CodeEditor = lazy(() => code);

export function Editor(initial: DraftKey & { workspace: Workspace; app: App | undefined }) {
  const { kind, id, userId } = initial;
  const { workspace, dispatch, latest } = useWorkspace(initial.workspace);
  const { content, base, active } = workspace;
  const [panel, setPanel] = useState<PanelName>();
  const [dialog, setDialog] = useState<OpenDialog>();
  const [goTo, setGoTo] = useState<Place>();
  const [tabMovesFocus, setTabMovesFocus] = useState(false);
  const [, navigate] = useLocation();

  const { data: meta } = useQuery(metaQuery);
  const { checked, show } = useValidation(content);
  const draft = useDraft({ userId, kind, id }, workspace, latest);
  const { app, progress, deploy, restart, moved } = useDeploy({
    app: initial.app,
    draftId: id,
    latest,
    dispatch,
    onRefused(diagnostics) {
      show(diagnostics);
      setPanel("problems");
    },
    onStale(current) {
      dispatch({ type: "rebase", base: current });
      setDialog({ type: "conflict", current });
    },
  });
  const status = useQuery({ ...statusQuery(app?.app_id ?? ""), enabled: app !== undefined });
  // How much time is left, and whether somebody else changed the app, is on the list.
  const apps = useQuery({ ...appsQuery, refetchInterval: 10_000, enabled: app !== undefined });
  const listed = apps.data?.apps.find(({ app_id }) => app_id === app?.app_id);
  const sending = progress.phase === "sending";
  useUnderneath({ appId: app?.app_id, seen: listed?.commit, sending, latest, dispatch });
  const now = useNow();
  useActivity(app?.app_id, content);
  const failed = progress.status?.stage === "failed" ? progress.status : undefined;
  const lastLines = useLastLines(app?.app_id, failed?.commit);

  function startDeploy(): void {
    setPanel("deploy");
    void deploy();
  }
  function startRestart(): void {
    setPanel("deploy");
    void restart();
  }
  function jump(place: Place): void {
    dispatch({ type: "open", path: place.path });
    setGoTo(place);
  }
  function saveDraft(): void {
    draft.save();
    toast("Draft saved in this browser. Deploy makes it the version that runs.");
  }
  function discard(): void {
    if (base) {
      dispatch({ type: "discard" });
    } else {
      dropDraft({ userId, kind, id });
      navigate("/");
    }
  }
  function take(other: Draft): void {
    const taken = resume(base, other);
    if (taken) dispatch({ type: "replace", workspace: taken });
    draft.settle();
  }
  function leave(): void {
    dispatch({ type: "discard" }); // a draft of what is gone would be of no use
    navigate("/");
  }
  function resolve({ base: current, content: chosen, deploys }: Resolution): void {
    dispatch({ type: "resolved", base: current, content: chosen });
    if (deploys) startDeploy();
  }

  useShortcuts({ deploy: () => startDeploy(), save: saveDraft });

  const dirty = isDirty(workspace);
  return (
    <div className={styles.page}>
      <title>{`${dirty ? "● " : ""}${content.name} · FastAPI Platform`}</title>
      <SkipLink to="main">Skip to the code</SkipLink>
      <EditorHeader
        name={content.name}
        url={app?.url}
        appId={app?.app_id}
        state={app ? stateShown(progress.phase, status.data?.status ?? app.status) : "draft"}
        dirty={dirty && base !== undefined}
        kept={draft.state}
        sending={sending}
        onDeploy={() => startDeploy()}
        onRestart={startRestart}
        onSave={saveDraft}
        onDialog={setDialog}
      />
      <EditorNotices
        meta={meta}
        stale={isStale(workspace) ? base : undefined}
        draft={draft}
        status={status.data}
        onCompare={(current) => setDialog({ type: "conflict", current })}
        onTake={take}
      />
      {listed && !sending && progress.phase !== "following" ? (
        <RestNotice
          className={styles.notices}
          app={{ ...listed, status: status.data?.status ?? listed.status }}
          now={now}
          idleHours={meta?.idle_hours ?? 24}
          onDone={moved}
        />
      ) : null}
      <div className={styles.body}>
        <Sidebar
          content={content}
          active={active}
          changed={changedPaths(workspace)}
          diagnostics={checked.diagnostics}
          dispatch={dispatch}
          onMade={(path) => jump({ path, line: 1, column: 1 })}
        />
        <main id="main" tabIndex={-1} className={styles.main}>
          <Tabs workspace={workspace} dispatch={dispatch} />
          <div className={styles.stage}>
            <Suspense fallback={<PageLoading text="Loading the editor…" />}>
              <CodeEditor
                files={content.files}
                path={active}
                diagnostics={checked.diagnostics}
                goTo={goTo}
                onEdit={(path, text) => dispatch({ type: "edit", path, text })}
                onDeploy={() => startDeploy()}
                onSave={saveDraft}
                onTabMovesFocus={setTabMovesFocus}
              />
            </Suspense>
            {active === undefined ? (
              <p className={styles.nothing}>No file is open. Choose one, or add one.</p>
            ) : null}
          </div>
          <BottomPanel
            open={panel}
            onOpen={setPanel}
            progress={progress}
            checked={checked}
            app={app}
            lastLines={lastLines}
            onGoTo={jump}
          />
          <StatusBar
            checked={checked}
            tabMovesFocus={tabMovesFocus}
            onProblems={() => setPanel("problems")}
          />
        </main>
      </div>
      <EditorDialogs
        dialog={dialog}
        workspace={workspace}
        app={app}
        dispatch={dispatch}
        onClose={() => setDialog(undefined)}
        onDiscard={discard}
        onDeleted={leave}
        onResolve={resolve}
      />
    </div>
  );
}

/** While a deploy is followed, its own news are fresher than the state that is asked for. */
function stateShown(phase: string, status: App["status"]): App["status"] {
  return phase === "sending" || phase === "following" ? "deploying" : status;
}

/** Ctrl or ⌘ with Enter and S, wherever the focus is; Monaco answers for itself. */
function useShortcuts(on: { deploy: () => void; save: () => void }): void {
  const press = useEffectEvent((event: KeyboardEvent) => {
    if (!(event.ctrlKey || event.metaKey) || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Enter") on.deploy();
    else if (event.key === "s") on.save();
    else return;
    event.preventDefault();
  });
  useEffect(() => {
    const listen = (event: KeyboardEvent) => press(event);
    window.addEventListener("keydown", listen);
    return () => window.removeEventListener("keydown", listen);
  }, []);
}
