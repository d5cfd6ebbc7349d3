import { Link } from "wouter";
import { Page } from "./Page";

export function NotFoundPage() {
  return (
    <Page title="Not found">
      <p>There is nothing at this address.</p>
      <p>
        <Link href="/">Back to your apps</Link>
      </p>
    </Page>
  );
}
