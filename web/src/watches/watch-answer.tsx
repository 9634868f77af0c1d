/** An answer with its sources named under it. */
import type { AnswerSource, WatchAnswer } from "@/api/types";

export function WatchAnswerView({ answer }: { answer: WatchAnswer }) {
  const sources = cited(answer);
  return (
    <>
      <p className="[overflow-wrap:anywhere] whitespace-pre-wrap">
        {answer.content.map((piece, place) =>
          typeof piece === "string" ? (
            // The pieces of one answer never change places, so that their places name them.
            <span key={place}>{piece}</span>
          ) : (
            <sup key={place} className="text-xs text-quiet">
              [{piece.number}]
            </sup>
          ),
        )}
      </p>
      {sources.length > 0 ? (
        <ul className="mt-3 text-sm text-quiet">
          {sources.map((source) => (
            <li key={source.passage_id} className="[overflow-wrap:anywhere]">
              [{source.number}] {source.document_name}, version {source.document_version}
            </li>
          ))}
        </ul>
      ) : null}
    </>
  );
}

/** The sources that an answer cites, each once, in the order of their numbers. */
function cited(answer: WatchAnswer): AnswerSource[] {
  const found = new Map<string, AnswerSource>();
  for (const piece of [...answer.content, ...answer.passages]) {
    if (typeof piece !== "string") found.set(piece.passage_id, piece);
  }
  return [...found.values()].sort((one, other) => one.number - other.number);
}
