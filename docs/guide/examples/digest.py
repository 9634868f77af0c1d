"""A mailbox as rows and documents, with a standing query over who waits for an answer."""

import os
import re

from ponant import live

OURS = os.environ.get("OUR_DOMAIN", "example.org")

inbox = live.documents(
    "imap",
    name="inbox",
    host=os.environ["MAIL_HOST"],
    port=int(os.environ.get("MAIL_PORT", "993")),
    user=os.environ["MAIL_USER"],
    password_env="MAIL_PASSWORD",
    ca=os.environ.get("MAIL_CA", ""),
)


@live.transform
def summary(message: live.Document) -> dict:
    """A row for each message: the thread it belongs to, and whether it is ours."""
    subject = str(message.metadata.get("subject", ""))
    sender = str(message.metadata.get("from", ""))
    return {
        "message": message.key,
        "thread": re.sub(r"^((re|fwd?|aw|tr): *)+", "", subject.casefold()),
        "sender": sender,
        "ours": sender.endswith(f"@{OURS}"),
    }


live.library("Mail", inbox)
live.table("mail", summary(inbox), key="message")
live.query(
    "waiting",
    """
    SELECT thread, count(*) AS messages FROM mail
    GROUP BY thread HAVING NOT bool_or(ours) ORDER BY thread
    """,
    key="thread",
)
