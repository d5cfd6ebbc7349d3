import type { ReactNode } from "react";
import styles from "./auth.module.css";

const STAGES = ["Validated", "Committed", "Fetched", "Applied", "Starting", "Live"];

/** Log-in and sign-up: the form, and beside it what this is for. */
export function AuthLayout({ title, children }: { title: string; children: ReactNode }) {
  return (
    <>
      <title>{`${title} · FastAPI Platform`}</title>
      <main id="main" tabIndex={-1} className={styles.page}>
        <div className={styles.form}>
          <div className={styles.brand}>
            <img src="/mark.svg" alt="" width={30} height={30} />
            FastAPI Platform
          </div>
          <h1>{title}</h1>
          {children}
        </div>
        <Showcase />
      </main>
    </>
  );
}

/** A picture of the product in text; decoration, so hidden from assistive technology. */
function Showcase() {
  return (
    <div className={styles.showcase} aria-hidden>
      <p className={styles.promise}>Write FastAPI in the browser. Deploy. Open the URL.</p>
      <div className={styles.window}>
        <pre className={styles.code}>
          <b>from</b> fastapi <b>import</b> FastAPI{"\n\n"}app = <i>FastAPI</i>(){"\n\n\n"}
          <u>@app.get</u>(<s>"/"</s>){"\n"}
          <b>def</b> <i>hello</i>() -&gt; dict[str, str]:{"\n"}
          {"    "}
          <b>return</b> {"{"}
          <s>"message"</s>: <s>"Hello, world"</s>
          {"}"}
        </pre>
        <ol className={styles.stages}>
          {STAGES.map((stage) => (
            <li key={stage}>{stage}</li>
          ))}
        </ol>
      </div>
      <p className={styles.small}>
        Every deploy is a commit. Every commit is followed until your own URL answers.
      </p>
    </div>
  );
}
