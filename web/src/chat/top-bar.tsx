/** Above the chat: what answers and what it may read. */
import { LibraryFace, LibraryPicker, ModelPicker, placeWords } from "@/chat/pickers";
import type { Setup } from "@/chat/setup";

export function TopBar({ fixed, setup }: { fixed: boolean; setup: Setup }) {
  return (
    <div className="flex h-14 shrink-0 items-center gap-1 pr-4 pl-14 md:pl-4">
      {fixed ? (
        <Settled setup={setup} />
      ) : (
        <>
          <ModelPicker models={setup.models} value={setup.model} onChange={setup.chooseModel} />
          <LibraryPicker
            libraries={setup.all}
            chosen={setup.libraries.map((library) => library.id)}
            onChange={setup.chooseLibraries}
          />
        </>
      )}
    </div>
  );
}

function Settled({ setup }: { setup: Setup }) {
  const card = setup.models.find((model) => model.id === setup.model);
  return (
    <p className="flex min-w-0 items-center gap-1.5 px-2.5 text-sm">
      <span className="truncate font-medium">{setup.model}</span>
      {card ? (
        <span className="hidden truncate text-quiet sm:inline">{placeWords(card)}</span>
      ) : null}
      <span aria-hidden className="px-1.5 text-quiet">
        ·
      </span>
      <LibraryFace libraries={setup.libraries} />
    </p>
  );
}
