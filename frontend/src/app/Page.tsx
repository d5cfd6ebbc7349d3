import type { ReactNode } from "react";
import { Link, useRoute } from "wouter";
import { AccountMenu } from "../features/account/AccountMenu";
import { Brand } from "./Brand";
import styles from "./layout.module.css";

/** Every page but the editor: header, one heading, content. */
export function Page({
  title,
  intro,
  actions,
  narrow = false,
  children,
}: {
  title: string;
  intro?: ReactNode;
  actions?: ReactNode;
  narrow?: boolean;
  children: ReactNode;
}) {
  return (
    <>
      <title>{`${title} · FastAPI Platform`}</title>
      <SkipLink to="main">Skip to content</SkipLink>
      <header className={styles.header}>
        <Brand />
        <nav className={styles.nav} aria-label="Main">
          <NavLink href="/">Apps</NavLink>
          <NavLink href="/packages">Packages</NavLink>
        </nav>
        <AccountMenu />
      </header>
      <main id="main" tabIndex={-1} className={`${styles.main} ${narrow ? styles.narrow : ""}`}>
        <div className={styles.heading}>
          <div>
            <h1>{title}</h1>
            {intro ? <p className={styles.intro}>{intro}</p> : null}
          </div>
          {actions}
        </div>
        {children}
      </main>
    </>
  );
}

export function SkipLink({ to, children }: { to: string; children: ReactNode }) {
  return (
    <a href={`#${to}`} className={styles.skip}>
      {children}
    </a>
  );
}

function NavLink({ href, children }: { href: string; children: ReactNode }) {
  const [here] = useRoute(href);
  return (
    <Link href={href} aria-current={here ? "page" : undefined}>
      {children}
    </Link>
  );
}
