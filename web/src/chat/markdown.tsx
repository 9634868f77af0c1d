/** An answer's Markdown while it streams. Nothing in it loads from elsewhere: images become links. */
import { Check, Copy } from "lucide-react";
import { useRef, useState, type ComponentProps, type JSX } from "react";
import { defaultRehypePlugins, Streamdown, type Components, type ExtraProps } from "streamdown";

import { CitationButton } from "@/chat/citation-button";
import { MARK_ELEMENT, rehypeCitations } from "@/chat/citations";
import { Button } from "@/ui/button";

/** Raw HTML is not parsed at all; what Markdown gives is sanitised before our marks go in. */
const REHYPE = [defaultRehypePlugins.sanitize, rehypeCitations].filter((one) => one !== undefined);

const PLAIN = Object.fromEntries(
  ["p", "ul", "ol", "li", "strong", "em", "blockquote", "hr", "tr", "th", "td"].map((tag) => [
    tag,
    tag,
  ]),
) as Components;

/** What streamdown hands to the component of a tag. */
type Given<Tag extends keyof JSX.IntrinsicElements> = ComponentProps<Tag> & ExtraProps;

const COMPONENTS: Components = {
  ...PLAIN,
  // The page's own title is the first heading, so an answer's begin at the third level.
  h1: "h3",
  h2: "h4",
  h3: "h5",
  h4: "h6",
  h5: "h6",
  h6: "h6",
  a: Link,
  img: ImageLink,
  pre: CodeBlock,
  code: Code,
  table: Table,
  [MARK_ELEMENT]: ({ number }) => <CitationButton number={Number(number)} />,
};

interface MarkdownProps {
  text: string;
  streaming: boolean;
}

export default function Markdown({ text, streaming }: MarkdownProps) {
  return (
    <Streamdown
      className="answer"
      mode={streaming ? "streaming" : "static"}
      parseIncompleteMarkdown={streaming}
      components={COMPONENTS}
      rehypePlugins={REHYPE}
      controls={false}
      linkSafety={{ enabled: false }}
    >
      {text}
    </Streamdown>
  );
}

function Link({ href, children }: Given<"a">) {
  if (!href || !/^(https?:|mailto:)/i.test(href)) return <>{children}</>;
  return (
    <a href={href} target="_blank" rel="noreferrer noopener">
      {children}
    </a>
  );
}

/** Fetching a picture would tell its server who reads what; the reader decides. */
function ImageLink({ src, alt }: Given<"img">) {
  if (typeof src !== "string") return <>{alt}</>;
  return <Link href={src}>{alt && alt !== "" ? `Image: ${alt}` : `Image at ${src}`}</Link>;
}

function Code({ children, className }: Given<"code">) {
  return <code className={className}>{children}</code>;
}

function CodeBlock({ children }: Given<"pre">) {
  const block = useRef<HTMLPreElement>(null);
  const [copied, setCopied] = useState(false);

  const copy = async () => {
    await navigator.clipboard.writeText(block.current?.textContent ?? "");
    setCopied(true);
    setTimeout(() => {
      setCopied(false);
    }, 2000);
  };

  return (
    <div className="group relative">
      <pre
        ref={block}
        // A long line scrolls, so the block must be reachable by keyboard.
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        tabIndex={0}
        className="overflow-x-auto rounded-lg border bg-raised p-4 pr-12 font-mono text-sm leading-relaxed"
      >
        {children}
      </pre>
      <Button
        kind="quiet"
        size="icon"
        className="absolute top-1.5 right-1.5 size-8"
        aria-label={copied ? "Copied" : "Copy code"}
        onClick={copy}
      >
        {copied ? (
          <Check aria-hidden className="size-4" />
        ) : (
          <Copy aria-hidden className="size-4" />
        )}
      </Button>
    </div>
  );
}

function Table({ children }: Given<"table">) {
  return (
    <div className="overflow-x-auto">
      <table className="text-sm">{children}</table>
    </div>
  );
}
