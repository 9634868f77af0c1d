/** Finds the citation marks in rendered Markdown and makes elements of them. */
import type { Element, ElementContent, Root, RootContent } from "hast";

import { MARK_CLOSE, MARK_OPEN } from "@/chat/turns";

/** The element that stands for a citation until React renders it. */
export const MARK_ELEMENT = "citation-mark";

const MARKED = new RegExp(`${MARK_OPEN}(\\d+)${MARK_CLOSE}`);

/** A rehype plugin. Code is left alone: nothing is cited inside it. */
export function rehypeCitations() {
  return (tree: Root): void => {
    tree.children = tree.children.flatMap(marked);
  };
}

function marked(node: RootContent | ElementContent): (RootContent | ElementContent)[] {
  if (node.type === "text") return split(node.value);
  if (node.type === "element") node.children = node.children.flatMap(marked) as ElementContent[];
  return [node];
}

/** Splitting by a pattern with one group leaves the numbers at the odd places. */
function split(text: string): ElementContent[] {
  const pieces = text.split(MARKED);
  return pieces.flatMap((piece, index): ElementContent[] => {
    if (index % 2 === 1) return [];
    const number = pieces[index + 1];
    if (number === undefined) return textNode(piece);
    const [start, word] = lastWord(piece);
    return [...textNode(start), unbroken([...textNode(word), mark(number)])];
  });
}

/** A number never begins a line: it stays with the word that it stands behind. */
function unbroken(children: ElementContent[]): Element {
  const properties = { className: ["whitespace-nowrap"] };
  return { type: "element", tagName: "span", properties, children };
}

const LONGEST_WORD = 24;

function lastWord(text: string): [string, string] {
  const word = /\S*$/.exec(text)?.[0] ?? "";
  if (word.length > LONGEST_WORD) return [text, ""];
  return [text.slice(0, text.length - word.length), word];
}

function textNode(value: string): ElementContent[] {
  return value === "" ? [] : [{ type: "text", value }];
}

function mark(number: string): Element {
  return { type: "element", tagName: MARK_ELEMENT, properties: { number }, children: [] };
}
