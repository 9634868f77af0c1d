"""Between people's words and tokens: tokenizers, chat templates, grammars, tool calls, stops.

Heavy parts are imported from their modules (`ponant.text.tokenizer`, `.template`, `.grammar`), so
that importing this package costs nothing.
"""

from ponant.text.detokenizer import Detokenizer
from ponant.text.messages import Message, Passage, Role, Tool, ToolCall
from ponant.text.rendered import Rendered, Segment
from ponant.text.stops import StopStrings
from ponant.text.thinking import ThinkingParser
from ponant.text.tool_styles import ENVELOPE, LLAMA3, MISTRAL, MISTRAL_NAMED, ToolStyle, style_of
from ponant.text.tools import ToolCallParser, new_call_id

__all__ = [
    "ENVELOPE",
    "LLAMA3",
    "MISTRAL",
    "MISTRAL_NAMED",
    "Detokenizer",
    "Message",
    "Passage",
    "Rendered",
    "Role",
    "Segment",
    "StopStrings",
    "ThinkingParser",
    "Tool",
    "ToolCall",
    "ToolCallParser",
    "ToolStyle",
    "new_call_id",
    "style_of",
]
