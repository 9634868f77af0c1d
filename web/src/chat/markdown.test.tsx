import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, describe, expect, it, vi } from "vitest";

import Markdown from "@/chat/markdown";
import { AnswerSourcesProvider } from "@/chat/sources";
import { MARK_CLOSE, MARK_OPEN } from "@/chat/turns";

afterEach(cleanup);

function show(text: string, open = vi.fn()) {
  const citation = {
    kind: "citation" as const,
    number: 2,
    id: "psg_2",
    hash: "h",
    library_id: "lib_1",
    title: "handbook.md",
  };
  const find = (number: number) => (number === 2 ? { citation, state: undefined } : null);
  const { container } = render(
    <AnswerSourcesProvider value={{ find, open, opened: null }}>
      <Markdown text={text} streaming={false} />
    </AnswerSourcesProvider>,
  );
  return container;
}

describe("an answer's Markdown", () => {
  it("shows a citation as a button behind its sentence", () => {
    const open = vi.fn();
    const page = show(`The desk opens at **08:30**.${MARK_OPEN}2${MARK_CLOSE} Come in.`, open);
    screen.getByRole("button", { name: "Source 2" }).click();
    expect(open).toHaveBeenCalledWith(2);
    expect(page.textContent).toBe("The desk opens at 08:30.2 Come in.");
  });

  it("shows no button for a number that was never given", () => {
    show(`So it is.${MARK_OPEN}7${MARK_CLOSE}`);
    expect(screen.queryByRole("button")).toBeNull();
  });

  it("fetches no picture: it becomes a link", () => {
    const page = show("![A plan](https://pictures.test/plan.png)");
    expect(page.querySelector("img")).toBeNull();
    const link = screen.getByRole("link", { name: "Image: A plan" });
    expect(link.getAttribute("href")).toBe("https://pictures.test/plan.png");
  });

  it("shows raw HTML as the text that it is", () => {
    const page = show('Before <img src="https://pictures.test/x.png" onerror="alert(1)"> after');
    expect(page.querySelector("img")).toBeNull();
    expect(page.textContent).toContain("<img");
  });

  it("makes no link of a script", () => {
    show("[press](javascript:alert(1))");
    expect(screen.queryByRole("link")).toBeNull();
    expect(screen.getByText("press")).toBeTruthy();
  });

  it("shows a table and code", () => {
    show("| Day | Opens |\n|---|---|\n| Monday | 08:30 |\n\n```py\nprint(1)\n```");
    expect(screen.getByRole("cell", { name: "08:30" })).toBeTruthy();
    expect(screen.getByRole("button", { name: "Copy code" })).toBeTruthy();
  });
});
