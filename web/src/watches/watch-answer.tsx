/** What a watch says now: text with its sources, the passages found, or rows. */
import type { AnswerSource, WatchAnswer, WatchKind } from "@/api/types";
import { PassageList } from "@/watches/passage-list";
import { RowTable } from "@/watches/row-table";
import { answerWords } from "@/watches/words";

/** The server keeps no more rows of a statement. */
const MOST_ROWS = 500;

interface WatchAnswerProps {
  kind: WatchKind;
  answer: WatchAnswer;
}

export function WatchAnswerView({ kind, answer }: WatchAnswerProps) {
  if (kind === "question") return <Text answer={answer} />;
  const { passages, rows } = answer;
  if (passages.length > 0) return <PassageList passages={passages} />;
  if (rows.length === 0) return <p className="text-quiet">{answerWords(kind, answer)}</p>;
  return (
    <>
      <RowTable label="Rows" rows={rows} />
      {rows.length === MOST_ROWS ? (
        <p className="mt-3 text-sm text-quiet">
          These are the first {MOST_ROWS} rows; more are not watched.
        </p>
      ) : null}
    </>
  );
}

function Text({ answer }: { answer: WatchAnswer }) {
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
