/** What a kept search finds now, the best first. */
import type { AnswerSource } from "@/api/types";

export function PassageList({ passages }: { passages: AnswerSource[] }) {
  return (
    <ol className="space-y-4">
      {passages.map((passage) => (
        <li key={passage.passage_id} className="border-l-2 pl-3 text-sm">
          <p className="[overflow-wrap:anywhere] text-quiet">{placeOf(passage)}</p>
          {passage.withheld ? null : (
            <p className="mt-1 line-clamp-8 [overflow-wrap:anywhere] whitespace-pre-wrap">
              {passage.text}
            </p>
          )}
        </li>
      ))}
    </ol>
  );
}

/** "handbook.md, Opening hours, version 3". */
function placeOf({ document_name, heading, document_version, withheld }: AnswerSource): string {
  if (withheld) return document_name;
  const words = [document_name, heading, `version ${document_version}`];
  return words.filter((one) => one !== "").join(", ");
}
